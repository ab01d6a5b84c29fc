"""What modelrack has put on this machine, found without a plan and without a record."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

# The first words of what we render, behind the sign of a comment.
MARK = b"Written by modelrack"
# Where files of ours lie among those of others.
SHARED = (
    "etc/systemd/system",
    "etc/systemd/system/*.d",
    "etc/systemd",
    "etc/sysctl.d",
    "etc/security/limits.d",
    "etc/apt/apt.conf.d",
    "etc/apt/sources.list.d",
    "etc/apt/preferences.d",
    "etc/yum.repos.d",
    "etc/modprobe.d",
    "etc/modules-load.d",
)
# What is ours with all that is in it.
FOLDERS = ("etc/modelrack", "opt/modelrack", "var/lib/modelrack", "var/cache/modelrack")
UNITS = "etc/systemd/system"
# Where additions to a unit may lie, in the order of systemd.unit(5).
_ADDITIONS = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "etc/systemd/system",
    "run/systemd/system",
)
_NAME = re.compile(r"(?<![a-z])modelrack(?![a-z])")


def marked(root: Path = Path("/")) -> list[str]:
    """Return the files among those of others that are ours, by their first words or their name."""
    found = []
    for place in SHARED:
        for path in root.glob(f"{place}/*"):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    ours = MARK in file.read(200)
                if ours or _NAME.search(path.name):
                    found.append(f"/{path.relative_to(root)}")
    return sorted(found)


def units(root: Path = Path("/")) -> set[str]:
    """Return the names of our units, templates as such."""
    names = {Path(path).name for path in marked(root) if Path(path).parent == Path("/", UNITS)}
    return {name for name in names if Path(name).suffix in (".service", ".timer", ".socket")}


def additions(root: Path = Path("/")) -> list[str]:
    """Return the files that add to our units, or to instances of them, whoever wrote them."""
    ours = units(root)
    found = []
    for place in _ADDITIONS:
        for folder in root.glob(f"{place}/*.d"):
            unit = folder.name[: -len(".d")]
            if {unit, re.sub("@.*[.]", "@.", unit)} & ours:
                found += [f"/{path.relative_to(root)}" for path in folder.glob("*.conf")]
    return sorted(found)


def enabled(root: Path = Path("/")) -> list[str]:
    """Return the links by which our units, or what is left of such, are started by others."""
    ours = units(root)
    found = []
    for pattern in ("*.wants/*", "*.requires/*"):
        for link in root.glob(f"{UNITS}/{pattern}"):
            template = re.sub("@.*[.]", "@.", link.name)
            if {link.name, template} & ours or _NAME.search(link.name):
                found.append(f"/{link.relative_to(root)}")
    return sorted(found)


def accounts(text: str) -> list[str]:
    """Return the accounts in a passwd file that are called like ours."""
    names = [line.partition(":")[0] for line in text.splitlines()]
    return [name for name in names if name == "modelrack" or name.startswith("modelrack-")]


def below(folder: Path, depth: int) -> Iterator[str]:
    """Yield what lies in a folder, down to so many folders below it."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        yield entry.path
        if depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from below(Path(entry.path), depth - 1)
