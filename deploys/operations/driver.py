"""GPU drivers after their packages are installed: kernel modules, services, and the reboot."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, transport
from deploys.connection.transport import HostCommand
from deploys.facts.machine import Hardware
from deploys.facts.services import EnabledUnits, UnitStates
from deploys.operations import files, host_lock
from deploys.operations.files import File
from deploys.planning import unit_names
from deploys.planning.driver import invariants
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.driver.state import foreign_processes

_MAKE_LOG = "/var/lib/dkms/*/{version}*/build/make.log"

# Seconds between two looks, and between two lines about how long it has been.
_LOOK_EVERY = 1.0
_SAY_EVERY = 15.0
# Seconds one question may take; a machine that goes down stops answering at any moment.
_ANSWER = 5

# Both: a container has the boot id of its host, and times count from that host's boot.
_WHICH_BOOT = "cat /proc/sys/kernel/random/boot_id; sed 's/.*) //' /proc/1/stat | cut -d' ' -f20"
# Detached, so that the answer arrives before the link goes.
_REBOOT = "( sleep 1; systemctl reboot ) </dev/null >/dev/null 2>&1 &"
_JOBS = f"systemctl list-units --plain --no-legend --state=active,activating '{unit_names.JOBS}'"


@operation()
def built(driver: DriverPlan, data_root: str) -> Generator[PyinfraCommand, None, None]:
    """
    Build the planned kernel module for every kernel that may be booted, including the next one.

    + driver: version and kernels
    + data_root: directory that holds the models

    The packages build it for the running kernel, and at most print a warning when that fails.
    """
    machine = host.get_fact(Hardware, data_root=data_root) if driver.kernels else None
    modules = {kernel.release: kernel.module for kernel in machine.kernels} if machine else {}
    missing = [kernel for kernel in driver.kernels if not driver.accepts(modules.get(kernel))]
    if not missing:
        host.noop("every kernel has the module")
        return
    looking.differs(
        f"kernel {kernel} has no module of driver {driver.version}" for kernel in missing
    )
    yield HostCommand(_build, missing, driver.version, data_root)


def _build(
    state: State, host: Host, arguments: Any, kernels: Sequence[str], version: str, data_root: str
) -> bool:
    for kernel in kernels:
        logger.info(f"{host.print_prefix}building the driver's module for kernel {kernel}")
        ok, output = transport.run(
            host, arguments, "dkms", "autoinstall", "-k", QuoteString(kernel)
        )
        machine = host.get_fact(Hardware, data_root=data_root)
        there = {each.release: each.module for each in machine.kernels} if machine else {}
        if not (there.get(kernel) or "").startswith(version):
            log = _MAKE_LOG.format(version=version)
            _, tail = transport.run(host, arguments, f"tail -n 15 {log} 2>/dev/null; true")
            for line in [*output.stdout_lines[-5:], *output.stderr_lines[-5:], *tail.stdout_lines]:
                logger.error(f"{host.print_prefix}  {line}")
            logger.error(
                f"{host.print_prefix}kernel {kernel} has no module of driver {version}"
                f"{'' if ok else ', its build failed'}. The lines above are what dkms said; put"
                f" that right, try it with: dkms autoinstall -k {kernel}; then run this again."
            )
            return False
    return True


@operation()
def blacklisted(
    blacklist: File, data_root: str, manager: str
) -> Generator[PyinfraCommand, None, None]:
    """
    Blacklist other kernel modules for the GPUs, in the initramfs as well.

    + blacklist: file below /etc/modprobe.d
    + data_root: directory that holds the models
    + manager: apt or dnf; decides how the initramfs is rebuilt

    The initramfs decides which modules are loaded at boot.
    """
    missing = files.differing([blacklist])
    machine = host.get_fact(Hardware, data_root=data_root)
    if not missing and machine is not None and not machine.nouveau_in_initramfs:
        host.noop("other modules are kept off the GPUs")
        return
    looking.differs([] if missing else ["the initramfs has nouveau"])
    if missing:
        yield files.write(missing)
    if manager == "apt":
        yield StringCommand("update-initramfs", "-u", "-k", "all")
    else:
        yield StringCommand("dracut", "--force", "--regenerate-all")


@operation()
def enabled(units: Sequence[str], systemd: bool = True) -> Generator[PyinfraCommand, None, None]:
    """
    Enable units that packages bring.

    + units: names with their suffix; those without an install section are started by other units
    + systemd: False while an image is built
    """
    if systemd:
        found = host.get_fact(UnitStates, units=tuple(units)) if units else {}
        enabled = {name: state.enabled for name, state in found.items()}
    else:
        enabled = host.get_fact(EnabledUnits, units=tuple(units)) if units else {}
    missing = [unit for unit in units if enabled.get(unit, "disabled") in ("disabled", "masked")]
    if not missing:
        host.noop("all of them start at boot")
        return
    looking.differs(f"{unit} is {enabled.get(unit, 'disabled')}" for unit in missing)
    yield StringCommand("systemctl", "unmask", "--quiet", *map(QuoteString, missing))
    yield StringCommand("systemctl", "enable", "--quiet", *map(QuoteString, missing))


@operation()
def rebooted(
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
            f"{others[0].name} (pid {others[0].pid}) now uses the GPUs, so this machine is not"
            f" rebooted into driver {driver.version}, which is installed. Stop that, then run this"
            " again."
        )
        return
    yield HostCommand(_reboot, driver.version, driver.reboot_timeout)


def _reboot(state: State, host: Host, arguments: Any, version: str, limit: int) -> bool:
    needed = f"driver {version} is installed and needs a reboot"
    refusal = reboot(host, arguments, f"to load driver {version}", needed, limit)
    if refusal is not None:
        logger.error(f"{host.print_prefix}{refusal}")
    return refusal is None


def reboot(host: Host, arguments: Any, why: str, needed: str, limit: int) -> str | None:
    """Reboot a machine and wait until it is back; return why it is not, or was not rebooted.

    + why: "to load a driver"; needed: the same as a sentence
    + limit: seconds it may take
    """
    refusal = _why_not(host, arguments, needed)
    if refusal is not None:
        return refusal
    boot = transport.try_command(host, arguments, _WHICH_BOOT, limit=_ANSWER)
    logger.info(f"{host.print_prefix}rebooting {why}, {limit} s at most")
    transport.run(host, arguments, StringCommand(_REBOOT))
    return _wait(host, arguments, boot, limit) or host_lock.reacquire()


def _why_not(host: Host, arguments: Any, needed: str) -> str | None:
    if transport.is_local(host):
        return (
            f"{needed}, and this is the computer that it would be watched from. Reboot it, then run"
            " this again."
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


@operation()
def loaded(driver: DriverPlan, data_root: str) -> Generator[PyinfraCommand, None, None]:
    """
    Load the driver and start its services, where that needs no reboot.

    + driver: modules and services
    + data_root: directory that holds the models
    """
    machine = host.get_fact(Hardware, data_root=data_root)
    found = host.get_fact(UnitStates, units=driver.services) if driver.services else {}
    stopped = [
        unit for unit in driver.services if unit not in found or found[unit].active != "active"
    ]
    is_loaded = machine is not None and machine.driver.loaded is not None
    if is_loaded and not stopped:
        host.noop("the driver is loaded, and its services run")
        return
    looking.differs([] if is_loaded else ["no driver is loaded"])
    looking.differs(f"{unit} does not run" for unit in stopped)
    if not is_loaded:
        yield StringCommand("modprobe", "--all", *map(QuoteString, driver.modules))
    if stopped:
        # What is wrong with one that does not start is said by what is checked next.
        yield StringCommand("systemctl", "restart", *map(QuoteString, stopped), "||", "true")


@operation()
def verified(
    driver: DriverPlan, gpus: Sequence[str], data_root: str
) -> Generator[PyinfraCommand, None, None]:
    """
    Check on the machine itself that everything about its driver holds.

    + driver: what was planned
    + gpus: PCI addresses of those that must answer
    + data_root: folder that holds the models
    """
    machine = host.get_fact(Hardware, data_root=data_root)
    wrong = invariants.violations(driver, gpus, machine) if machine else ()
    if machine is not None and not wrong:
        host.noop(f"driver {machine.driver.loaded} passes every check")
        return
    looking.differs(map(str, wrong))
    yield HostCommand(_say, [str(refusal) for refusal in wrong])


def _say(state: State, host: Host, arguments: Any, sentences: Sequence[str]) -> bool:
    for sentence in sentences or ["The machine does not say what it is. Run this again."]:
        logger.error(f"{host.print_prefix}{sentence}")
    return False
