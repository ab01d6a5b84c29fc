"""The interconnect of the cards, and which of them each replica of a model gets."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.hardware import cards
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.machine import Gpu, GpuLink, Machine
from deploys.planning.placement.memory import Card

# By how much the memory of one kind of card differs between driver versions, as a share.
_SPREAD = 0.02
# Of memory that a card shares with the host: what the system and the engine's processes keep.
_OF_THE_HOST = 0.1


def cards_of(
    machine: Machine, gpu: Accelerator | None, count: int, ours: Sequence[str] = ()
) -> tuple[Card, ...]:
    """Return the cards that are ours; none for a profile without GPUs.

    + count: cards that the profile says
    + ours: systemd units of our services

    Memory in use counts as free if our units alone hold the machine's cards, and on cards that an
    earlier run gave to units that still run: a second plan would otherwise find them full of the
    first. So that the plan of a bare machine stays the plan once there is a driver, memory is the
    hardware table's unless the driver reports clearly less, and what an idle card uses counts as
    nothing. A card that shares the host's memory has all of it but what the host keeps.
    """
    if gpu is None:
        return ()
    holding = [holder.unit in ours for holder in machine.holders]
    alone, running = bool(holding) and all(holding), any(holding)
    found = []
    for index, card in cards.numbered(cards.ours(machine, gpu, count), machine):
        free = alone or (running and index in machine.given) or cards.is_idle(card, gpu.memory)
        total, used = _total(card, gpu.memory), 0 if free else card.used or 0
        if gpu.shares_host:
            total, used = machine.memory, _kept_by_host(machine, free=alone)
        found.append(Card(index=index, total=total, used=used, numa=card.numa))
    return tuple(found)


def _kept_by_host(machine: Machine, *, free: bool) -> int:
    """Return what the host keeps of the one memory; `free`: what is taken of it is ours."""
    available = machine.memory_available
    taken = 0 if free or available is None else machine.memory - available
    return max(int(machine.memory * _OF_THE_HOST), taken)


def _total(card: Gpu, known: int) -> int:
    if card.memory and not (1 - _SPREAD) * known < card.memory < (1 + _SPREAD) * known:
        return card.memory
    return known


def islands(
    own: Sequence[Card], links: Sequence[GpuLink], gpu: Accelerator | None
) -> tuple[tuple[int, ...], ...]:
    """Group the indices of cards that reach each other over a link; a lone card is a group, too."""
    return cards.joins([card.index for card in own], links, gpu)


def assign_cards(
    own: Sequence[Card],
    together: Sequence[Sequence[int]],
    *,
    tensor: int,
    pipeline: int,
    copies: int,
) -> tuple[tuple[int, ...], ...]:
    """Return the card indices of each replica, stage by stage.

    Cards of one tensor-parallel group come from one island, the smallest with enough cards left;
    else from one NUMA node; else in order of index. Replicas take such groups in that order, too.
    """
    left = list(own)
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
