"""Whether this machine has a kernel of its own, or is a container on somebody else's."""

from __future__ import annotations

from pathlib import Path

from ..lib.probe import number, read

ROOT = Path("/")
# What starts as a whole machine and may be given whatever a machine has: labs are made of these.
_MACHINES = {"systemd-nspawn", "wsl"}
_NO_LIMIT = 1 << 60


def kind(root: Path = ROOT) -> str:
    """Return what made this container (docker, podman, lxc, kubernetes), "" for a machine.

    Source: systemd's container interface; detect_container() of its basic/virt.c.
    """
    told = [
        read(root / "run/systemd/container").strip(),
        *(
            each.partition("=")[2]
            for each in read(root / "proc/1/environ").split("\0")
            if each.startswith("container=")
        ),
        "docker" if (root / ".dockerenv").exists() else "",
        "podman" if (root / "run/.containerenv").exists() else "",
        "kubernetes" if (root / "var/run/secrets/kubernetes.io").is_dir() else "",
    ]
    found = next(filter(None, told), "")
    return "" if found in _MACHINES else found


def is_booted(root: Path = ROOT) -> bool:
    """Return whether this is where the first process lives, not a tree that becomes an image."""
    try:
        return (root / "proc/1/root").samefile(root)
    except OSError:
        # A tree without /proc; a user that may not look, of whom only a machine has any.
        return (root / "proc/1").exists()


def limits(root: Path = ROOT) -> dict[str, int | None]:
    """Return the cores and the bytes of memory that the container may use, None for all there are.

    What it sees of processors and memory is the whole machine's. Source: Linux, cgroup-v2.rst;
    cgroup-v1/memory.rst; scheduler/sched-bwc.rst.
    """
    groups = root / "sys/fs/cgroup"
    quota, _, period = read(groups / "cpu.max").strip().partition(" ")
    if not period:
        quota = read(groups / "cpu/cpu.cfs_quota_us")
        period = read(groups / "cpu/cpu.cfs_period_us")
    time, of = number(quota), number(period)
    memory = number(read(groups / "memory.max"))
    if memory is None:
        memory = number(read(groups / "memory/memory.limit_in_bytes"))
    return {
        "cores": max(1, time // of) if time and of and time > 0 else None,
        # The older kind says the largest number where there is no limit.
        "memory": memory if memory and memory < _NO_LIMIT else None,
    }
