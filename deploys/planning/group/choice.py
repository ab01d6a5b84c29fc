"""Which hosts serve a model together, and why they cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

from deploys.planning.engines.base import HONOURED
from deploys.planning.engines.registry import ENGINES
from deploys.planning.group.members import HostOfClass, HostsOfClass
from deploys.planning.hardware import cards
from deploys.planning.hardware.gpus import Accelerator, by_pci_id
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class HostGroup:
    """The hosts that serve a model together, by rank, and their machines as they are now."""

    service: Service
    members: tuple[HostOfClass, ...]
    machines: tuple[Machine, ...]
    rank: int


def grouped(profile: HostProfile) -> Service | None:
    """Return the service of a profile that is served by several machines; None where none is."""
    return next((each for each in profile.services if _is_shared(each)), None)


def _is_shared(service: Service) -> bool:
    """Whether several machines serve it, which not every engine can."""
    return service.machines > 1 and ENGINES[service.engine].settings.machines == HONOURED


def rank_of(service: Service, names: list[str], name: str) -> int:
    """Return the rank that a host has in its group, by the order of the class."""
    return names.index(name) % service.machines


def group_of(service: Service, profile: HostProfile, members: HostsOfClass) -> HostGroup:
    """Return the group that a machine is of; raise Refusal if there is none."""
    said = f"Service {service.name}"
    if others := [each.name for each in profile.services if each.name != service.name]:
        raise Refusal(
            f"{said}: machines that serve a model together serve nothing else, and their profile"
            f" has {', '.join(others)}, too",
            "Serve that on machines of another class",
        )
    if (service.replicas or 1) > 1:
        raise Refusal(
            f"{said}: replicas is {service.replicas}, and machines that serve a model together have"
            " one copy of it",
            f"Leave replicas out, and add {service.machines} more hosts to the inventory for each"
            " further copy",
        )
    if members.serial:
        raise Refusal(
            f"{said}: --serial does one machine after another, and the first would wait for the"
            " others",
            "Run it without --serial",
        )
    names = [host.name for host in members.hosts]
    at = names.index(members.me) if members.me in names else 0
    first = at - at % service.machines
    mine = members.hosts[first : first + service.machines]
    if len(mine) < service.machines:
        left = ", ".join(each.name for each in mine) or "this machine"
        raise Refusal(
            f"{said}: machines is {service.machines}, and of its class only {left} is left for it",
            f"Add {service.machines - len(mine) or service.machines} more to hosts of its"
            f" inventory, take it out of them, or set machines to {len(mine) or 1}",
        )
    if absent := [each.name for each in mine if not each.asked]:
        limits = " ".join(f"--limit {each.name}" for each in mine)
        raise Refusal(
            f"{said}: {', '.join(absent)} serves it together with {members.me}, and this run leaves"
            " it out",
            f"Run it with {limits}, or without --limit",
        )
    machines = tuple(each.machine for each in mine if each.machine is not None)
    if unknown := [each.name for each in mine if each.machine is None]:
        raise Refusal(
            f"{said}: {', '.join(unknown)} serves it together with {members.me}, and could not be"
            " looked at",
            "Do first what this run says of that machine",
        )
    for member, machine in zip(mine, machines, strict=True):
        if not (machine.systemd and machine.booted):
            raise Refusal(
                f"{said}: {member.name} serves it together with others, and has no systemd to"
                " start it again when one of them goes",
                "Use machines or virtual machines that boot",
            )
    return HostGroup(service=service, members=mine, machines=machines, rank=at - first)


def unequal(
    group: HostGroup, gpu: Accelerator | None, same: Mapping[str, Sequence[str]]
) -> Iterator[Refusal]:
    """Yield what differs between the machines of a group that must not.

    + same: what each has that is compared beside the cards, by its name in a sentence
    """
    service = group.service
    for field in fields(service):
        values = {
            member.name: getattr(member.service(service.name), field.name, None)
            for member in group.members
        }
        if len(set(map(repr, values.values()))) > 1:
            shown = ", ".join(f"{value} on {name}" for name, value in values.items())
            yield Refusal(
                f"Service {service.name}: {field.name} is {shown}",
                "Give the machines that serve it together one profile, in the group data of their"
                " class",
            )

    def of_cards(machine: Machine) -> str:
        own = cards.ours(machine, gpu, group.members[0].profile.gpus)
        counts = Counter(_name(card.pci_id, gpu) for card in own)
        return " and ".join(f"{number} x {name}" for name, number in counts.items()) or "no cards"

    for what, found in {"cards": [*map(of_cards, group.machines)], **same}.items():
        if len({*found}) > 1:
            shown = ", ".join(
                f"{each or 'none'} on {member.name}"
                for member, each in zip(group.members, found, strict=True)
            )
            yield Refusal(
                f"Service {service.name}: the machines that serve it together have other {what}:"
                f" {shown}",
                _SAME[what],
            )


_SAME = {
    "cards": "Put machines with the same cards beside each other in hosts of the inventory",
    "drivers": "Set driver of the profile to the version that all are to have",
    "engines": "Install the same system on them, as their engine depends on it",
    "links": "Look for a link that is down with: rdma link; or leave RDMA out on all of them",
}


def _name(pci_id: str, gpu: Accelerator | None) -> str:
    known = by_pci_id(pci_id, gpu)
    return known.name if known else pci_id


def repeated(values: list[str]) -> list[str]:
    """Return the values that are there more than once."""
    return [value for value, found in groupby(sorted(values)) if len(list(found)) > 1]
