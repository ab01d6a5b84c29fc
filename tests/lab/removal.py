"""Take a lab away without a trace, from nothing but its id and its run directory.

A lab writes its owner record before it makes anything, and everything it makes carries its id:
control group, namespaces, links, filter tables, mounts below its directory. So the leftovers of a
killed run are found and removed the same way as those of a run that ended well.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.network import FORWARD
from tests.lab.process import LabError, run
from tests.lab.tree import cache_root, locked

NAMESPACES = Path("/run/netns")
# Root may watch so many things at once, on the host and on all machines together. Linux begins with
# 128, and a dozen systemds take more.
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_ENOUGH_INOTIFY = 2048
# What labs change on the host while there are any.
_SETTINGS = {"ip_forward": FORWARD, "inotify_instances": _INOTIFY}


@dataclass(frozen=True)
class Owner:
    """Who answers for a lab: a running process, or (``kept``) a named lab of a checkout."""

    lab: str
    name: str
    project: str
    pid: int
    started: int
    kept: bool

    def is_alive(self) -> bool:
        return self.kept or started(self.pid) == self.started


def started(pid: int) -> int:
    """Start time of a process in clock ticks since boot, 0 when there is none: pids come again."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return 0


def runs() -> Path:
    """The folder with one directory per existing lab."""
    return cache_root() / "run"


def directory(lab: str) -> Path:
    return runs() / lab


@contextmanager
def host_lock() -> Iterator[None]:
    """One lab at a time changes what labs share on the host."""
    with locked(cache_root() / "host.lock"):
        yield


def register(owner: Owner) -> Path:
    """Write the owner record and remember how the host was; call under ``host_lock``."""
    before = runs() / "host.json"
    if not owners():
        runs().mkdir(exist_ok=True)
        settings = {name: path.read_text() for name, path in _SETTINGS.items()}
        before.write_text(json.dumps({**settings, "namespaces": NAMESPACES.exists()}))
        if int(_INOTIFY.read_text()) < _ENOUGH_INOTIFY:
            _INOTIFY.write_text(str(_ENOUGH_INOTIFY))
    path = directory(owner.lab)
    path.mkdir(mode=0o700)
    (path / "owner.json").write_text(json.dumps(asdict(owner)))
    return path


def owners() -> list[Owner]:
    """Every lab that has a record on this host."""
    found = []
    for path in sorted(runs().glob("*/owner.json")):
        # Another process may be removing its lab, or writing its record, just now.
        with suppress(FileNotFoundError, json.JSONDecodeError):
            found.append(Owner(**json.loads(path.read_text())))
    return found


def cgroup(lab: str) -> Path:
    """The control group that holds every process of a lab."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where) / f"modelrack-{lab}"
    raise LabError("this host has no cgroup version 2 hierarchy, which systemd machines need")


def remove(lab: str) -> None:
    """Remove everything that belongs to ``lab``; what is gone already is no error."""
    _end_processes(cgroup(lab))
    _unmount_below(directory(lab))
    for space in sorted(NAMESPACES.glob(f"{lab}-*")):
        run(["ip", "netns", "del", space.name], check=False)
    links = [link["ifname"] for link in json.loads(run(["ip", "-j", "link", "show"]))]
    for link in links:
        if link == lab or link.startswith(f"{lab}-"):
            run(["ip", "link", "del", link], check=False)
    for family in ("ip", "bridge"):
        run(["nft", "delete", "table", family, f"modelrack_lab_{lab}"], check=False)
    # Gigabytes, at times: nobody has to wait for that. Its owner record goes last.
    for path in directory(lab).glob("*/"):
        shutil.rmtree(path, ignore_errors=True)
    with host_lock():
        if directory(lab).exists():
            shutil.rmtree(directory(lab))
        if not owners():
            _restore_host()


def _restore_host() -> None:
    before = runs() / "host.json"
    if not before.exists():
        return
    state = json.loads(before.read_text())
    for name, path in _SETTINGS.items():
        path.write_text(state[name])
    if not state["namespaces"] and NAMESPACES.exists() and not any(NAMESPACES.iterdir()):
        # The first ``ip netns add`` of a host binds the folder onto itself.
        for _ in range(Path("/proc/self/mounts").read_text().count(f" {NAMESPACES} ")):
            run(["umount", str(NAMESPACES)], check=False)
        with suppress(OSError):
            NAMESPACES.rmdir()
    shutil.rmtree(runs())


def _end_processes(group: Path) -> None:
    if not group.exists():
        return
    deadline = time.monotonic() + 15
    while "populated 1" in (group / "cgroup.events").read_text():
        (group / "cgroup.kill").write_text("1")
        if time.monotonic() > deadline:
            raise LabError(f"processes in {group} do not die")
        time.sleep(0.02)
    for path, _, _ in os.walk(group, topdown=False):
        Path(path).rmdir()


def _unmount_below(path: Path) -> None:
    def mounted() -> list[str]:
        lines = Path("/proc/self/mounts").read_text().splitlines()
        return [where for line in lines if (where := line.split()[1]).startswith(f"{path}/")]

    for where in sorted(mounted(), reverse=True):
        run(["umount", where], check=False)
    for where in sorted(mounted(), reverse=True):
        run(["umount", "--lazy", where])
    if mounted():
        raise LabError(f"still mounted below {path}: {' '.join(mounted())}")
