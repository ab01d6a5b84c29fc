"""Whether this machine has a kernel of its own, or is a container on somebody else's."""

from __future__ import annotations

from pathlib import Path

from ..lib.probe import read

ROOT = Path("/")
# What starts as a whole machine and may be given whatever a machine has: labs are made of these.
_MACHINES = {"systemd-nspawn", "wsl"}


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
