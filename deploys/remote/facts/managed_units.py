"""Model servers that an earlier run has set up here: units that are enabled or run, their cards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..lib.probe import read

ETC, SETTINGS = Path("/etc/systemd/system"), Path("/etc/modelrack")
# The settings that name cards: CUDA's own, and ours where devices are let in by a unit.
_CARDS = ("CUDA_VISIBLE_DEVICES", "MODELRACK_CARDS")
# A folder for each unit that has processes: of all hierarchies in one, or of systemd's own.
GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd"))
# The first words of what we render. What is called like this (planning/unit_names.py) serves no
# models.
_OURS, NO_SERVER = "# Written by modelrack", "modelrack-"


def units(etc: Path = ETC, groups: tuple[Path, ...] = GROUPS) -> list[str]:
    """Return the names of these units, with their instances.

    Engines that somebody else installed are left out.
    """
    return sorted({name for name in _names(etc, groups) if _is_ours(name, etc)})


def cards(units: list[str], settings: Path = SETTINGS) -> list[int]:
    """Return the cards that these units' settings let them see, by the driver's index."""
    found: set[int] = set()
    for unit in units:
        name, _, instance = unit.removesuffix(".service").partition("@")
        file = settings / (f"services/{instance}.env" if instance else f"{name}.env")
        for line in read(file).splitlines():
            key, _, value = line.partition("=")
            if key in _CARDS:
                found.update(int(index) for index in value.split(",") if index.strip().isdigit())
    return sorted(found)


def _names(etc: Path, groups: tuple[Path, ...]) -> Iterator[str]:
    yield from (link.name for link in etc.glob("multi-user.target.wants/*.service"))
    for group in groups:
        for pattern in ("*.service", "*.slice/*.service"):
            yield from (each.name for each in group.glob(f"system.slice/{pattern}"))


def _is_ours(name: str, etc: Path) -> bool:
    file = etc / re.sub(r"@.*", "@.service", name)
    return not name.startswith(NO_SERVER) and read(file).startswith(_OURS)
