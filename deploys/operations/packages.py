"""Distribution packages, installed when nobody else is installing."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts.packages import Installed, LockHolder
from deploys.operations.transport import HostCommand, pause
from deploys.planning.plan import Apt
from deploys.planning.render import APT_SOURCES

# Seconds between two lines that say who is being waited for.
_SAY_EVERY = 15


@operation()
def installed(packages: Sequence[str], apt: Apt) -> Generator[PyinfraCommand, None, None]:
    """
    Install Debian or Ubuntu packages that are missing; what is there is not upgraded.

    + packages: names
    + apt: how they are installed here

    pyinfra 3.10's apt operations fail at once when the lock is held, and refresh the package lists
    whether or not anything is missing.
    """
    commands = list(installing(packages, apt))
    if not commands:
        host.noop("all packages are installed")
        return
    yield from commands


def installing(packages: Sequence[str], apt: Apt) -> Generator[PyinfraCommand, None, None]:
    """The commands that install what is missing of the packages; none when nothing is."""
    there = host.get_fact(Installed, packages=tuple(packages)) if packages else set()
    missing = [package for package in packages if package not in there]
    if missing:
        yield HostCommand(_wait_for_lock, apt.lock_wait)
        yield _apt_get(apt, "update")
        yield _apt_get(apt, "install", "--no-install-recommends", *missing)


def _apt_get(apt: Apt, *words: str) -> StringCommand:
    options = ["-y", "-q", "-o", f"DPkg::Lock::Timeout={apt.lock_wait}"]
    options += ["-o", "Dpkg::Options::=--force-confold"]
    if apt.mirror:
        options += ["-o", f"Dir::Etc::SourceList={APT_SOURCES}", "-o", "Dir::Etc::SourceParts=-"]
    return StringCommand("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *options, *words)


def _wait_for_lock(state: State, host: Host, arguments: Any, limit: int) -> bool:
    """Wait here and say for whom: apt waits silently, and for two of its four locks only."""
    started = said = time.monotonic()
    while holder := host.get_fact(LockHolder):
        now = time.monotonic()
        waited = now - started
        if waited > limit:
            logger.error(
                f"{host.print_prefix}the package manager is held by {holder} for {waited:.0f} s."
                " Let it finish or stop it, then run this again."
            )
            return False
        if now - said >= _SAY_EVERY or said == started:
            said = now
            logger.info(
                f"{host.print_prefix}waiting for {holder} to let go of the package manager"
                f" ({waited:.0f} of {limit} s)"
            )
        pause(1)
    return True
