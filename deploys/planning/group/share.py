"""The cards of several machines as one machine's, and what of a placement one of them has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from deploys.planning.group.choice import HostGroup
from deploys.planning.group.plan import GroupPlan
from deploys.planning.hardware import cards
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.machine import GpuLink, Machine
from deploys.planning.inputs.profile import Service
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.interconnect import cards_of
from deploys.planning.placement.memory import Card, CardLedger

# Between the numbers of two machines' cards; more than any machine has of cards or memory nodes.
_APART = 1000


@dataclass(frozen=True, kw_only=True)
class Together:
    """Several machines, seen as one.

    + machine: one of them, with the links of all and the memory of the smallest
    + cards: of all, machine by machine, with numbers that none of them has twice
    """

    machine: Machine
    cards: tuple[Card, ...]


def together(
    machines: Sequence[Machine], gpu: Accelerator | None, count: int, ours: Sequence[str]
) -> Together:
    """Return machines as one.

    + count, ours: as cards_of has them
    """
    found: list[Card] = []
    links: list[GpuLink] = []
    for place, machine in enumerate(machines):
        first = place * _APART
        own = cards_of(machine, gpu, count, ours)
        for card in own:
            numa = None if card.numa is None else first + card.numa
            found.append(replace(card, index=first + card.index, numa=numa))
        pairs = [(link.first, link.second, link.kind) for link in machine.links]
        # Without a driver the hardware table says what is linked.
        for island in [] if pairs else cards.joins([card.index for card in own], (), gpu):
            pairs += [(one, two, "NV") for one, two in combinations(island, 2)]
        links += [
            GpuLink(first=first + one, second=first + two, kind=kind) for one, two, kind in pairs
        ]
        # And no link of cards leads to another machine.
        links.append(GpuLink(first=0, second=first, kind="NETWORK"))
    memory = min(machine.memory for machine in machines)
    one = replace(machines[0], links=tuple(links), memory=memory)
    return Together(machine=one, cards=tuple(found))


def seen(
    service: Service | None, group: HostGroup | None, inputs: Inputs, ours: Sequence[str]
) -> Together:
    """Return what services are placed on: the machine, or all those that serve one together.

    Where it is not known which these are, others like this one.

    + ours: systemd units of our services
    """
    machine, gpu, count = inputs.machine, inputs.gpu, inputs.profile.gpus
    if service is None:
        return Together(machine=machine, cards=cards_of(machine, gpu, count, ours))
    machines = group.machines if group else (machine,) * service.machines
    return together(machines, gpu, count, ours)


def share(placement: Placement, group: GroupPlan | None) -> Placement:
    """Return a placement with the cards of one machine alone, as that machine counts them."""
    rank = group.rank if group else 0
    numbers = _numbers(rank)
    own = [tuple(card % _APART for card in copy if card in numbers) for copy in placement.groups]
    held = tuple(replace(card, index=card.index % _APART) for card in _ledgers(placement, rank))
    return replace(
        placement,
        groups=tuple(copy for copy in own if copy),
        ledger=replace(placement.ledger, cards=held),
    )


def holds(placement: Placement, rank: int) -> tuple[int, int]:
    """Return the cards that one machine has for a model, and the bytes of weights there."""
    held = _ledgers(placement, rank)
    if not placement.groups:
        return 0, placement.ledger.host.get("weights", 0)
    return len(held), sum(card.lines.get("weights", 0) for card in held)


def _ledgers(placement: Placement, rank: int) -> tuple[CardLedger, ...]:
    return tuple(card for card in placement.ledger.cards if card.index in _numbers(rank))


def _numbers(rank: int) -> range:
    return range(rank * _APART, (rank + 1) * _APART)
