"""Which cards are close to each other, and which of them a copy of a model is given."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.gpus import Accelerator
from deploys.planning.machine import Gpu, Link, Machine
from deploys.planning.memory import Card

# How the hardware table calls links that make all cards of a machine one island.
_ALL_TO_ALL = {"nvswitch", "xgmi", "hccs"}
# By how much the memory of one kind of card differs between driver versions, as a share.
_SPREAD = 0.02
# What a card in use by nobody shows as used, as a share: 4 of 81,559 MiB on an idle H800.
_IDLE = 0.01


def cards_of(
    machine: Machine, gpu: Accelerator | None, ours: Sequence[str] = ()
) -> tuple[Card, ...]:
    """The machine's cards; none for a profile without GPUs, whatever is plugged in.

    ours: systemd units of our services. What is used counts as free where these alone hold the
    cards, or a second plan would find them full of the first. So that the plan of a bare machine
    stays the plan once there is a driver, memory is the hardware table's unless the driver counts
    clearly less, and what an idle card uses counts as nothing.
    """
    if gpu is None:
        return ()
    alone = bool(machine.holders) and all(holder.unit in ours for holder in machine.holders)
    return tuple(
        Card(
            index=place if card.index is None else card.index,
            total=(total := _total(card, gpu.memory)),
            used=0 if alone or (card.used or 0) < _IDLE * total else card.used or 0,
            numa=card.numa,
        )
        for place, card in enumerate(machine.gpus)
    )


def _total(card: Gpu, known: int) -> int:
    if card.memory and not (1 - _SPREAD) * known < card.memory < (1 + _SPREAD) * known:
        return card.memory
    return known


def islands(
    cards: Sequence[Card], links: Sequence[Link], gpu: Accelerator | None
) -> tuple[tuple[int, ...], ...]:
    """Indices of cards that reach each other over a link of their own; a lone card is one, too.

    From what the driver says of links; without it from the hardware table, where cards in pairs
    count as alone, since nothing says who is whose neighbour.
    """
    if not links and gpu is not None and gpu.link in _ALL_TO_ALL:
        return (tuple(card.index for card in cards),)
    found = [{card.index} for card in cards]
    for link in links:
        joined = [island for island in found if {link.first, link.second} & island]
        if len(joined) == 2 and link.kind.startswith(("NV", "XGMI", "HCCS")):
            found = [island for island in found if island not in joined]
            found.append(joined[0] | joined[1])
    return tuple(sorted(tuple(sorted(island)) for island in found))


def deal(
    cards: Sequence[Card],
    together: Sequence[Sequence[int]],
    *,
    tensor: int,
    pipeline: int,
    copies: int,
) -> tuple[tuple[int, ...], ...]:
    """The indices of each copy's cards, stage by stage.

    Cards that share layers come from one island, the smallest that has as many left; else from one
    NUMA node; else as they are counted. Copies take such groups in that order, too.
    """
    left = list(cards)
    groups = []
    for _ in range(copies * pipeline):
        group = _neighbours(left, together, tensor)
        groups.append(tuple(card.index for card in group))
        left = [card for card in left if card not in group]
    groups.sort()
    return tuple(
        tuple(index for group in groups[at : at + pipeline] for index in group)
        for at in range(0, len(groups), pipeline)
    )


def _neighbours(
    left: Sequence[Card], together: Sequence[Sequence[int]], count: int
) -> Sequence[Card]:
    by_island = [[card for card in left if card.index in island] for island in together]
    by_node = [[card for card in left if card.numa == node] for node in {c.numa for c in left}]
    for choices in (by_island, by_node):
        enough = [cards for cards in choices if len(cards) >= count]
        if enough:
            return min(enough, key=lambda cards: (len(cards), cards[0].index))[:count]
    return left[:count]
