"""Which of a machine's cards are ours, where it has more than the profile says."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from deploys.planning.hardware import hardware_health
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.machine import Gpu, GpuLink, Machine

# How the hardware table calls links that make all cards of a machine one island.
_ALL_TO_ALL = {"nvswitch", "xgmi", "hccs"}
# NVIDIA's open module drives cards from this device on, Turing's first; only older ones get another
# driver. Source: README of open-gpu-kernel-modules, pci.ids.
_OPEN_MODULE = 0x1E00
# What a card in use by nobody shows as used, as a share: 4 of 81,559 MiB on an idle H800.
_IDLE = 0.01


def ours(machine: Machine, gpu: Accelerator | None, count: int) -> tuple[Gpu, ...]:
    """As many cards of that kind as the profile says; all where the machine has fewer.

    Cards that are well and that nobody else uses; of these those that an earlier run has given to
    our services, so that a second one finds what the first has done; then such as are linked to
    each other, and such as hang on one NUMA node.
    """
    if gpu is None:
        return ()
    kind = [card for card in machine.gpus if card.pci_id in gpu.pci_ids]
    if len(kind) <= count:
        return tuple(kind)
    joined = joins([place for place, _ in numbered(kind, machine)], machine.links, gpu)
    numbers = {card.address: number for number, card in numbered(kind, machine)}
    ailing = {card.address for card in kind if hardware_health.is_ailing(card, machine)}

    def cost(chosen: Sequence[Gpu]) -> tuple[float, ...]:
        given = [card for card in chosen if numbers[card.address] in machine.given]
        sick = [card for card in chosen if card.address in ailing]
        busy = [card for card in chosen if card not in given and not is_idle(card, gpu.memory)]
        nodes = {card.numa for card in chosen}
        islands = [
            island for island in joined if any(numbers[card.address] in island for card in chosen)
        ]
        used = sum(card.used or 0 for card in busy)
        # The smaller islands are taken whole, and the larger ones left so.
        spread = sum(map(len, islands))
        against = len(sick) + len(busy)
        return (against, -len(given), len(islands), len(nodes), spread, used)

    return min(combinations(kind, count), key=cost)


def numbered(cards: Sequence[Gpu], machine: Machine) -> list[tuple[int, Gpu]]:
    """Cards with their driver's index, or the one that it will give them: by their PCI order.

    It counts what it drives, so neither another vendor's cards nor those of virtual machines.
    """
    counted = [card for card in machine.gpus if _will_be_counted(card, cards)]
    others = [card for card in machine.gpus if card not in counted]
    # What it will never count comes behind all that it does.
    first = max(len(counted), *(card.index + 1 for card in counted if card.index is not None), 0)
    places = {card.address: place for place, card in enumerate(counted)}
    places |= {card.address: first + place for place, card in enumerate(others)}
    return [(places[card.address] if card.index is None else card.index, card) for card in cards]


def addresses(numbers: Sequence[int], own: Sequence[Gpu], machine: Machine) -> tuple[str, ...]:
    """Return the PCI addresses of those of our `own` cards that have these numbers."""
    places = {number: card.address for number, card in numbered(own, machine)}
    return tuple(places[number] for number in numbers if number in places)


def _will_be_counted(card: Gpu, beside: Sequence[Gpu]) -> bool:
    """Return whether the driver that is installed for the cards `beside` will number this one."""
    vendor, device = card.pci_id.split(":")
    oldest = min(each.pci_id for each in beside) if beside else card.pci_id
    if vendor != oldest[:4] or hardware_health.is_given_away(card):
        return False
    by_open_module = vendor == "10de" and int(oldest[5:], 16) >= _OPEN_MODULE
    return not by_open_module or int(device, 16) >= _OPEN_MODULE


def is_idle(card: Gpu, memory: int) -> bool:
    """Nobody uses it; memory: what it has where its driver does not say."""
    return (card.used or 0) < _IDLE * (card.memory or memory)


def joins(
    indices: Sequence[int], links: Sequence[GpuLink], gpu: Accelerator | None
) -> tuple[tuple[int, ...], ...]:
    """Group the indices of cards that reach each other over a link; a lone card is a group, too.

    Links are those that the driver reports; without it, those of the hardware table. Cards that are
    linked in pairs then count as alone, since nothing says who is whose neighbour.
    """
    if not links and gpu is not None and gpu.link in _ALL_TO_ALL:
        return (tuple(indices),)
    found = [{index} for index in indices]
    for link in links:
        joined = [island for island in found if {link.first, link.second} & island]
        if len(joined) == 2 and link.kind.startswith(("NV", "XGMI", "HCCS")):
            found = [island for island in found if island not in joined]
            found.append(joined[0] | joined[1])
    return tuple(sorted(tuple(sorted(island)) for island in found))
