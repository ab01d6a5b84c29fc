"""Somebody else who installs packages, and does not come to an end."""

from __future__ import annotations

from tests.lab import Machine

_HOLDER = """\
import fcntl, pathlib, time
file = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(file, fcntl.LOCK_EX)
pathlib.Path("/run/holds").touch()
time.sleep(3600)
"""


def hold(machine: Machine) -> None:
    """Hold the package manager's lock until `release`."""
    machine.ssh(["systemd-run", "--quiet", "--unit=holder", "python3", "-c", _HOLDER])
    machine.ssh("until [ -e /run/holds ]; do sleep 0.1; done", timeout=60)


def release(machine: Machine) -> None:
    """End who holds it."""
    machine.ssh("systemctl stop holder; rm /run/holds")
