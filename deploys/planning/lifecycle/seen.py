"""What was seen on a machine, and which parts of it no plan knows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from typing import Any

from deploys.planning import unit_names
from deploys.planning.gateway.plan import HTTPS, MACHINES, REDIRECT
from deploys.planning.inputs.machine import Machine
from deploys.planning.plan import HostPlan

# Where a driver has files, in folders of others.
OF_DRIVER = (
    *("/etc/modprobe.d/", "/etc/modules-load.d/", "/etc/apt/sources.list.d/"),
    *("/etc/apt/preferences.d/", "/etc/yum.repos.d/", "/etc/apt/apt.conf.d/60modelrack-gpu"),
)
# Of an appliance: its image brings them, and no deploy of the machine compares them.
_OF_IMAGE = {unit_names.file(unit_names.IDENTITY), unit_names.file(unit_names.SELF_TEST)}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What deploys/remote/lifecycle/look.py has seen; its documentation says what each is."""

    files: tuple[str, ...] = ()
    additions: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    noted: tuple[str, ...] = ()
    ports: tuple[tuple[str, int, str], ...] = ()
    broken: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    environments: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    before: tuple[int, ...] | None = None
    altered: tuple[str, ...] = ()
    trees: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Seen:
        """Return what the program on the machine printed."""
        values = {each.name: data[each.name] for each in fields(cls)}
        listed = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **listed, "ports": tuple(map(tuple, data["ports"]))})

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def strangers(
    plan: HostPlan, machine: Machine, seen: Seen, known: Collection[str], users: Collection[str]
) -> Iterator[str]:
    """Yield a sentence about each thing of ours, or open to others, that the plan does not know.

    + known: paths that the plan's operations name; what lies above them is known, too
    + users: accounts that they name
    """
    expected = {
        *known,
        *(service.measured for service in plan.services),
        *(file for folder in seen.noted for file in (folder, f"{folder}.txt")),
    }
    expected |= {str(above) for path in expected for above in PurePosixPath(path).parents}
    ours = {*expected, *_OF_IMAGE}
    if plan.driver:
        # A driver that is right is left alone, and nothing says then what it was installed with.
        ours |= {path for path in seen.files if path.startswith(OF_DRIVER)}
    for path in sorted({*seen.files, *seen.additions} - ours):
        what = "adds to a unit" if path in seen.additions else "is called, or says that it is, ours"
        yield f"{path} {what}, and no plan has it"
    for path in sorted({*seen.folders} - expected):
        if not _is_kept(path, plan):
            yield f"{path} is in a folder of ours, and no plan has it"
    for path in seen.enabled:
        unit = path.rpartition("/")[2]
        template = unit_names.file(re.sub("@.*[.]", "@.", unit))
        planned = "@" not in unit or unit in {service.unit for service in plan.services}
        if template not in ours or not planned:
            yield f"{path} starts a unit that no plan has"
    for name in seen.users:
        if name not in users:
            yield f"user {name} is called like one of ours, and no plan has it"
    for unit in seen.failed:
        if unit not in {service.unit for service in plan.services}:
            yield f"{unit} has failed"
    yield from _open_ports(plan, machine, seen)


def _is_kept(path: str, plan: HostPlan) -> bool:
    """Return whether this is what stays of earlier deploys by intention, or is half made."""
    name = path.rpartition("/")[2]
    return name.startswith(".") or path == f"{plan.site.data_root}/models"


def _open_ports(plan: HostPlan, machine: Machine, seen: Seen) -> Iterator[str]:
    known = {*machine.ssh_ports, *(seen.before or ())}
    for opening in plan.firewall.openings if plan.firewall else ():
        known |= {*opening.ports}
    if plan.gateway:
        known |= {REDIRECT, HTTPS, MACHINES}
    if plan.peer:
        known.add(plan.site.peer_port)
    # Engines of a group choose ports of their own as they start.
    groups = {service.unit for service in plan.services if service.group}
    for address, port, owner in seen.ports:
        if port not in known and owner not in groups:
            yield f"port {port} of {address} is open to other machines, by {owner or 'a process'}"


def contents(seen: Seen, hashes: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence about each file that does not hold what it was proven to hold.

    + hashes: of files that were uploaded
    """
    for path, wanted in hashes.items():
        if path in seen.hashes and seen.hashes[path] != wanted:
            yield f"{path} has other content"
    yield from seen.altered
    yield from (f"package {name} is half installed" for name in seen.broken)


def trees(seen: Seen, packed: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield a sentence about each file of a build that is not as it was packed.

    + packed: hashes of the files, by folder on the machine and path in it
    """
    for folder, wanted in packed.items():
        found = seen.trees.get(folder, {})
        for path in sorted({*wanted, *found}):
            if path not in found:
                yield f"{folder}/{path} is missing"
            elif path not in wanted:
                yield f"{folder}/{path} was not built, and is there"
            elif found[path] != wanted[path]:
                yield f"{folder}/{path} is not what was built"
