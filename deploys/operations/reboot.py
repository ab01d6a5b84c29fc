"""Reboot a machine, wait until it is back, and continue."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import transport
from deploys.connection.transport import HostCommand
from deploys.facts.machine import Hardware
from deploys.operations import host_lock
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.driver.state import foreign_processes

# Seconds between two looks, and between two lines about how long it has been.
_LOOK_EVERY = 1.0
_SAY_EVERY = 15.0
# Seconds one question may take; a machine that goes down stops answering at any moment.
_ANSWER = 5

# Both: a container has the boot id of its host, and times count from that host's boot.
_WHICH_BOOT = "cat /proc/sys/kernel/random/boot_id; sed 's/.*) //' /proc/1/stat | cut -d' ' -f20"
# Detached, so that the answer arrives before the link goes.
_REBOOT = "( sleep 1; systemctl reboot ) </dev/null >/dev/null 2>&1 &"
_JOBS = "systemctl list-units --plain --no-legend --state=active,activating 'modelrack-job-*'"


@operation()
def into_the_driver(
    driver: DriverPlan, busy: bool, data_root: str
) -> Generator[PyinfraCommand, None, None]:
    """
    Reboot to load the planned driver, if it needs a reboot.

    + driver: whether a reboot is needed, and how long it may take
    + busy: reboot even if somebody else is using the GPUs
    + data_root: directory that holds the models

    A machine is never rebooted while one of our jobs is running.
    """
    if not driver.reboot:
        host.noop("no reboot is needed")
        return
    machine = host.get_fact(Hardware, data_root=data_root)
    if machine is not None and driver.accepts(machine.driver.loaded) and not machine.nouveau:
        host.noop(f"driver {machine.driver.loaded} is loaded")
        return
    others = () if busy or machine is None else foreign_processes(machine)
    if others:
        yield transport.fail(
            f"{others[0].name} (pid {others[0].pid}) uses the GPUs by now, so this machine is not"
            f" rebooted into driver {driver.version}, which is installed. Stop that, then run this"
            " again."
        )
        return
    yield HostCommand(_reboot, driver.version, driver.reboot_timeout)


def _reboot(state: State, host: Host, arguments: Any, version: str, limit: int) -> bool:
    refusal = _why_not(host, arguments, version)
    if refusal is None:
        boot = transport.try_command(host, arguments, _WHICH_BOOT, limit=_ANSWER)
        logger.info(f"{host.print_prefix}rebooting to load driver {version}, {limit} s at most")
        transport.run(host, arguments, StringCommand(_REBOOT))
        refusal = _wait(host, arguments, boot, limit) or host_lock.reacquire()
    if refusal is not None:
        logger.error(f"{host.print_prefix}{refusal}")
    return refusal is None


def _why_not(host: Host, arguments: Any, version: str) -> str | None:
    if transport.is_local(host):
        return (
            f"driver {version} is installed and needs a reboot, and this is the computer that it"
            " would be watched from. Reboot it, then run this again."
        )
    jobs = transport.try_command(host, arguments, _JOBS, limit=_ANSWER)
    if jobs:
        return (
            f"a job of ours runs on this machine ({jobs.split()[0]}), so it is not rebooted. Wait"
            " for its end, then run this again."
        )
    return None


def _wait(host: Host, arguments: Any, before: str | None, limit: int) -> str | None:
    """Wait until the machine has rebooted and finished starting; return what went wrong, if any."""
    started = said = time.monotonic()
    while True:
        transport.pause(_LOOK_EVERY)
        boot = transport.try_command(host, arguments, _WHICH_BOOT, limit=_ANSWER)
        now = time.monotonic()
        if boot not in (None, before) and _has_started(host, arguments):
            logger.info(f"{host.print_prefix}it is back after {now - started:.0f} s")
            return None
        if now - started > limit:
            return _gave_up(boot, before, limit)
        if now - said >= _SAY_EVERY:
            said = now
            what = "is starting" if boot not in (None, before) else "has not come back"
            logger.info(f"{host.print_prefix}the machine {what} for {now - started:.0f} s")


def _has_started(host: Host, arguments: Any) -> bool:
    """Return whether the boot has finished, even if some units failed."""
    state = transport.try_command(
        host, arguments, "systemctl is-system-running; true", limit=_ANSWER
    )
    return state is not None and state.strip() in ("running", "degraded")


def _gave_up(boot: str | None, before: str | None, limit: int) -> str:
    if boot is None:
        return (
            f"the machine has not come back within {limit} s of its reboot. Look at its console;"
            " when it answers again, run this again."
        )
    if boot == before:
        return (
            f"the machine was told to reboot and has not for {limit} s. See what holds it up with:"
            " systemctl list-jobs; then run this again."
        )
    return (
        f"the machine is back, and still starting after {limit} s. See what holds it up with:"
        " systemctl list-jobs; then run this again."
    )
