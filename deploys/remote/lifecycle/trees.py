"""Folders taken away with all that is in them, but for what is mounted there."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ..lib.probe import read

# How /proc/mounts writes a space, a tab, a line's end and its own backslash.
_ESCAPE = re.compile(r"\\([0-7]{3})")


def remove(folder: Path, stays: list[str]) -> None:
    """Remove a file or a folder; whatever is mounted in it, or as it, stays and is named."""
    _remove(str(folder), _mounts(), stays)


def removable(folder: Path) -> bool:
    """Return whether remove() would take anything away."""
    return _removable(str(folder), _mounts())


def _removable(path: str, mounts: set[str]) -> bool:
    if path in mounts or not os.path.lexists(path):
        return False
    if os.path.islink(path) or not os.path.isdir(path):
        return True
    within = [os.path.join(path, name) for name in os.listdir(path)]
    return not within or any(_removable(each, mounts) for each in within)


def _remove(path: str, mounts: set[str], stays: list[str]) -> bool:
    """Return whether it is gone."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return True
    if path in mounts:
        stays.append(f"{path} stays, as another file system is mounted there")
        return False
    if not stat.S_ISDIR(kind):
        os.unlink(path)
        return True
    if all([_remove(os.path.join(path, name), mounts, stays) for name in os.listdir(path)]):
        os.rmdir(path)
        return True
    return False


def _mounts() -> set[str]:
    lines = read("/proc/self/mounts").splitlines()
    return {_unescaped(line.split(" ")[1]) for line in lines}


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
