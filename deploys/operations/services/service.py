"""Model servers as systemd units: written, verified, started, checked and removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, transport
from deploys.connection.transport import HostCommand
from deploys.facts import services as facts
from deploys.facts.files import Entries
from deploys.operations import files
from deploys.operations.services import health, versions
from deploys.operations.services.unit import Unit
from deploys.operations.services.versions import Version
from deploys.planning import unit_names
from deploys.planning.engines.software import Software
from deploys.rendering.settings import secret_file

_WANTS = unit_names.file("multi-user.target.wants")
# What the settings of a model server are called, behind its name.
_SETTINGS = ("env", "yaml", "group.json")


@operation()
def running(
    units: Sequence[Unit],
    software: Software | None = None,
    deployed: dict[str, Any] | None = None,
    systemd: bool = True,
    foreground: bool = False,
) -> Generator[PyinfraCommand, None, None]:
    """
    Configure, enable and start services, and wait until they answer.

    + units: what should run; for an engine, all its services
    + software: what is installed of their engine; `current` points to it afterwards
    + deployed: the engine's part of state.json
    + systemd: False while an image is built, where nothing is started
    + foreground: nor is anything enabled, as no systemd will ever start it: somebody does

    Whether a restart is due is read from the running process rather than remembered: a run that was
    killed between writing a file and the restart is completed by the next one.

    If an engine does not answer, the version that served before is restored, and the host fails.

    What several machines serve together is started, and waited for by group.answering.
    """
    version = version_of(units, software, deployed or {}) if software else None
    missing = files.differing([*version.entries, version.note] if version else _files(units))
    unproven = version if version and version.note in missing else None
    switched = version if version and version.link in missing else None
    missing = [entry for entry in missing if not version or entry != version.note]
    if not systemd:
        yield from _in_an_image([] if foreground else units, missing)
        return
    found = host.get_fact(facts.Units, questions=health.status_request(units, ask=False))
    changed = {unit.name for unit in units if switched or {*unit.files} & {*missing}}
    others = [(unit, health.differs(unit, found.get(unit.name))) for unit in units]
    looking.differs(f"{unit.name} {other}" for unit, other in others if other)
    wrong = {unit.name for unit, other in others if other}
    todo = [unit for unit in units if unit.name in changed | wrong]
    alone = [unit for unit in todo if not unit.group]
    if any(unit.group for unit in units):
        unproven = None
    if not todo and not unproven:
        host.noop("all services run and answer")
        return
    if switched:
        yield HostCommand(_smoke_or_roll_back, switched)
    if missing:
        yield from _configure(missing)
    reload = any(state.reload == "yes" for state in found.values())
    if reload or any(_is_unit_file(file.path) for file in missing):
        yield StringCommand("systemctl", "daemon-reload")
    restarted: dict[str, float] = {}
    for unit in {unit.name: unit for unit in todo}.values():
        state = found.get(unit.name)
        if state is None or state.enabled != "enabled":
            yield StringCommand("systemctl", "enable", "--quiet", QuoteString(unit.name))
        if state is None or health.needs_a_start(unit, state) or unit.name in changed:
            restarted[unit.name] = time.monotonic()
            yield _restart(unit)
    for unit in alone:
        yield _checked(health.wait_until_it_answers, unit, restarted.get(unit.name), version)
    # When all are up: what loads a model takes the machine's time from its neighbours.
    for unit in alone:
        measured = unit.name not in restarted and health.is_measured(unit, found[unit.name])
        if unit.measured and not measured:
            yield _checked(health.measure, unit, restarted.get(unit.name), version)
    if unproven:
        yield versions.proven(unproven)


@operation()
def absent(
    unit: str, paths: Sequence[str], systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Stop a service and remove everything that belongs to it.

    + unit: its name
    + paths: unit file, configuration and directories of its own; removed recursively
    + systemd: False while an image is built
    """
    found = host.get_fact(Entries, paths=(*paths, f"{_WANTS}/{unit}"))
    looking.differs(f"{path} is there" for path in found)
    if not found:
        host.noop(f"there is no {unit}")
        return
    now = ["--now"] if systemd else []
    yield StringCommand(
        # Half of it may be gone; what is left is removed next.
        *("systemctl", "disable", "--quiet", *now, QuoteString(unit), "2>/dev/null", "||", "true")
    )
    there = [path for path in (*paths, f"{_WANTS}/{unit}") if path in found]
    yield StringCommand("rm", "-rf", "--", *map(QuoteString, there))
    if systemd:
        yield StringCommand("systemctl", "daemon-reload")
        # One that had failed would be named by systemctl --failed for ever.
        gone = [Path(path).name for path in paths if path.endswith((".service", ".timer"))]
        names = map(QuoteString, dict.fromkeys((unit, *gone)))
        yield StringCommand("systemctl", "reset-failed", *names, "2>/dev/null", "||", "true")


@operation()
def retired(units: Sequence[str], systemd: bool = True) -> Generator[PyinfraCommand, None, None]:
    """
    Stop model servers that are no longer planned, and remove their settings.

    + units: their names; a unit file may be shared with other services and is kept
    + systemd: False while an image is built
    """
    if not units:
        host.noop("nothing else serves models")
        return
    looking.differs(f"{unit} is enabled or runs, and is not planned" for unit in units)
    # The settings first: as long as a unit is enabled, the next run knows that it is to go.
    named = [(unit, unit.partition("@")[2].removesuffix(".service")) for unit in units]
    names = [name for _, name in named if name]
    settings = [f"/etc/modelrack/services/{name}.{kind}" for name in names for kind in _SETTINGS]
    measured = [f"/var/lib/modelrack/services/{name}.json" for name in names]
    additions = [f"{unit_names.file(unit)}.d" for unit, name in named if name]
    if names:
        secrets = [secret_file(name) for name in names]
        everything = (*settings, *measured, *additions, *secrets)
        yield StringCommand("rm", "-rf", "--", *map(QuoteString, everything))
    now = ["--now"] if systemd else []
    yield StringCommand("systemctl", "disable", "--quiet", *now, *map(QuoteString, units))
    if systemd:
        failed = ("systemctl", "reset-failed", *map(QuoteString, units), "2>/dev/null")
        yield StringCommand(*failed, "||", "true")


def _restart(unit: Unit) -> StringCommand:
    name = QuoteString(unit.name)
    return StringCommand(
        *("systemctl", "reset-failed", name, "2>/dev/null", ";"),
        # Whether it came up is seen by looking: if not, what served before can serve again.
        *("systemctl", "restart", name, "||", "true"),
    )


def _in_an_image(
    units: Sequence[Unit], missing: list[files.Entry]
) -> Generator[PyinfraCommand, None, None]:
    """Configure services and enable `units`; the first boot starts them."""
    wanted = {f"{_WANTS}/{unit.name}": unit.name for unit in units}
    enabled = host.get_fact(Entries, paths=tuple(wanted)) if wanted else {}
    if missing:
        yield from _configure(missing)
    disabled = [name for path, name in wanted.items() if path not in enabled]
    if disabled:
        yield StringCommand("systemctl", "enable", "--quiet", *map(QuoteString, disabled))
    if not missing and not disabled:
        host.noop("all services are configured")


def _configure(missing: list[files.Entry]) -> Generator[PyinfraCommand, None, None]:
    yield files.write(missing, [entry.path for entry in missing if _is_unit_file(entry.path)])


def _is_unit_file(path: str) -> bool:
    return path.startswith(f"{unit_names.FOLDER}/")


def version_of(units: Sequence[Unit], software: Software, deployed: dict[str, Any]) -> Version:
    """Return the version of an engine that these units are of, with the settings that they have."""
    notes = [unit.to_note() for unit in units]
    return Version(software=software, files=_files(units), services=notes, deployed=deployed)


def _files(units: Sequence[Unit]) -> tuple[files.File, ...]:
    return tuple(dict.fromkeys(file for unit in units for file in unit.files))


_Check = Callable[[State, Host, Any, Unit, float | None], bool]


def _checked(
    check: _Check, unit: Unit, restarted: float | None, version: Version | None
) -> HostCommand:
    if version:
        return HostCommand(_check_or_roll_back, check, unit, restarted, version)
    return HostCommand(check, unit, restarted)


def _smoke_or_roll_back(state: State, host: Host, arguments: Any, version: Version) -> bool:
    """Run the smoke test; if it fails, restore the previous version and return False."""
    if versions.smoke(state, host, arguments, version):
        return True
    _, before = restore(state, host, arguments, version.engine, "serving", version)
    if before:
        logger.error(f"{host.print_prefix}{before}.")
    return False


def _check_or_roll_back(
    state: State,
    host: Host,
    arguments: Any,
    check: _Check,
    unit: Unit,
    restarted: float | None,
    version: Version,
) -> bool:
    """Run a check of one service; if it fails, restore what served before and return False."""
    if check(state, host, arguments, unit, restarted):
        return True
    _, before = restore(state, host, arguments, version.engine, "serving", version)
    if before:
        logger.error(
            f"{host.print_prefix}{unit.name} does not serve as planned with {version}; {before}."
            f" More with: journalctl -u {unit.name}"
        )
    return False


def restore(
    state: State,
    host: Host,
    arguments: Any,
    engine: str,
    note: versions.Note,
    failed: Version | versions.Note,
) -> tuple[bool, str]:
    """Restore the version in a note; return whether it serves again, and a clause that says so.

    + failed: what is replaced; if there is nothing else to restore, the clause is empty
    """
    restored, problem = versions.restored(host, arguments, engine, note, failed)
    if restored is None:
        return False, problem
    transport.run(host, arguments, "systemctl", "daemon-reload")
    for name in map(QuoteString, restored["stop"]):
        transport.run(host, arguments, "systemctl", "disable", "--quiet", "--now", name)
    units = [Unit.noted(each) for each in restored["services"]]
    restarted: dict[str, float] = {}
    for unit in units:
        found = health.probe(host, arguments, unit)
        if found is None or found.enabled != "enabled" or health.needs_a_start(unit, found):
            name = QuoteString(unit.name)
            transport.run(host, arguments, "systemctl", "enable", "--quiet", name)
            restarted[unit.name] = time.monotonic()
            transport.run(host, arguments, _restart(unit))
        else:
            # systemd has started it by itself; what it counted was about the other version.
            transport.run(host, arguments, "systemctl", "reset-failed", QuoteString(unit.name))
    version = f"{engine} {restored['version']}"
    if not all(
        health.wait_until_it_answers(state, host, arguments, unit, restarted.get(unit.name))
        for unit in units
    ):
        return False, f"{version} was put back with the settings that it had, but does not answer"
    for unit in units:
        health.measure(state, host, arguments, unit, restarted.get(unit.name))
    return True, f"{version} serves again, with the settings that it had"
