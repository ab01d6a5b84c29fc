"""What processes have in use: listening ports, device files of GPUs, folders."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .probe import read

PROCESSES = Path("/proc")

# NVIDIA, AMD (all of a machine's cards at once), Ascend; what a virtual machine was given, which a
# reboot would take from it; not the control files of their drivers.
_GPU_FILE = re.compile(r"/dev/(?:nvidia\d+|kfd|davinci\d+|vfio/\d+)")
_UNIT = re.compile(r"[^/]+\.(?:service|scope)")


def ports_and_holders(
    with_gpus: bool, processes: Path = PROCESSES
) -> tuple[dict[int, str], list[dict[str, Any]]]:
    """Return listening TCP ports with the owner of each, and the processes that have a GPU open.

    An owner is a unit, else the name of a process, or "" if it is hidden from us.
    """
    listening = listening_sockets(processes)
    owners = dict.fromkeys(listening.values(), "")
    holders = []
    for process in processes.glob("[0-9]*"):
        if not listening and not with_gpus:
            break
        files = set(open_files(process))
        for file in files:
            if file.startswith("socket:[") and (port := listening.pop(file[8:-1], None)):
                owners[port] = unit_of(process) or _name(process)
        if with_gpus and any(map(_GPU_FILE.fullmatch, files)):
            pid = int(process.name)
            holders.append({"pid": pid, "name": _name(process), "unit": unit_of(process)})
    return owners, sorted(holders, key=lambda holder: holder["pid"])


def in_use(folders: set[Path], processes: Path = PROCESSES) -> set[Path]:
    """Return those folders that a process has in its command, works in, or maps files of."""
    used: set[Path] = set()
    for process in processes.glob("[0-9]*") if folders else ():
        words = [*read(process / "cmdline").split("\0"), *read(process / "maps").split()]
        with contextlib.suppress(OSError):  # It ended.
            words.append(os.readlink(process / "cwd"))
        paths = {Path(word) for word in words if word.startswith("/")}
        used |= {folder for folder in folders if any(folder in (p, *p.parents) for p in paths)}
    return used


def listening_sockets(processes: Path) -> dict[str, int]:
    """Return listening ports by the inode of their socket, as text."""
    ports = {}
    for table in ("net/tcp", "net/tcp6"):
        for line in read(processes / table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                ports[fields[9]] = int(fields[1].rsplit(":", 1)[1], 16)
    return ports


def open_files(process: Path) -> Iterator[str]:
    """Yield what the open files of a process are called."""
    try:
        for handle in os.scandir(process / "fd"):
            yield os.readlink(handle.path)
    except OSError:
        return  # The process ended, or is not ours to look into.


def unit_of(process: Path) -> str:
    """Return the unit that a process belongs to, "" for none."""
    units = _UNIT.findall(read(process / "cgroup"))
    # Inside a container the cgroup path begins outside of it: the innermost unit is the owner.
    return units[-1] if units else ""


def _name(process: Path) -> str:
    return read(process / "comm").strip()
