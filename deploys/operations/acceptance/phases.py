"""The acceptance of a machine: its phases, a reboot if asked for, and the report at the end.

A phase never fails its host: what is wrong is kept, the next phase runs, and the report fails it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection.transport import HostCommand
from deploys.control.acceptance import phases, reports, session
from deploys.operations import driver
from deploys.planning.acceptance import soak
from deploys.planning.acceptance.check import Phase

# Seconds that a machine with much memory and many cards may take to come back.
_REBOOT = 1800


@operation()
def tested(phase: Phase, wanted: bool) -> Generator[PyinfraCommand, None, None]:
    """
    Test one phase of an acceptance that accept.py has begun.

    + phase: which one
    + wanted: False leaves it out
    """
    if not wanted:
        host.noop(f"{phase} is left out")
        return
    yield HostCommand(_test, phase)


def _test(state: State, host: Host, arguments: Any, phase: Phase) -> bool:
    phases.run(host, arguments, phase)
    return True


@operation()
def survives_reboot(wanted: bool) -> Generator[PyinfraCommand, None, None]:
    """
    Reboot the machine, and wait until its services answer again.

    + wanted: False leaves it out
    """
    if not wanted:
        host.noop("no reboot was asked for (--data reboot=true)")
        return
    yield HostCommand(_survive)


def _survive(state: State, host: Host, arguments: Any) -> bool:
    this = session.of(host)
    needed = "whether it serves after a reboot was asked"
    problem = driver.reboot(host, arguments, "to see what serves then", needed, _REBOOT)
    if problem:
        logger.error(f"{host.print_prefix}{problem}")
        this.add(host, [soak.not_rebooted(problem)])
        return True
    found = [phases.survived(host, arguments, each, "reboot") for each in this.services]
    this.add(host, found)
    return True


@operation()
def reported(wanted: bool = True) -> Generator[PyinfraCommand, None, None]:
    """
    Write the report of an acceptance on this computer, and fail the host unless it is accepted.

    + wanted: False leaves it out
    """
    if not wanted:
        host.noop("there is no report")
        return
    yield HostCommand(_report)


def _report(state: State, host: Host, arguments: Any) -> bool:
    return reports.write(state, host)
