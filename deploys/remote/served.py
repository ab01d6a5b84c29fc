"""Units of model servers that an earlier run has set up here: those that are enabled or run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from .reading import read

ETC = Path("/etc/systemd/system")
# A folder for each unit that has processes: of all hierarchies in one, or of systemd's own.
GROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd"))
# The first words of what we render. What is called like this serves no models.
_OURS, _NO_SERVER = "# Written by modelrack", "modelrack-"


def units(etc: Path = ETC, groups: tuple[Path, ...] = GROUPS) -> list[str]:
    """Their names, with the instance. An engine that somebody else installed is not among them."""
    return sorted({name for name in _names(etc, groups) if _is_ours(name, etc)})


def _names(etc: Path, groups: tuple[Path, ...]) -> Iterator[str]:
    yield from (link.name for link in etc.glob("multi-user.target.wants/*.service"))
    for group in groups:
        for pattern in ("*.service", "*.slice/*.service"):
            yield from (each.name for each in group.glob(f"system.slice/{pattern}"))


def _is_ours(name: str, etc: Path) -> bool:
    file = etc / re.sub(r"@.*", "@.service", name)
    return not name.startswith(_NO_SERVER) and read(file).startswith(_OURS)
