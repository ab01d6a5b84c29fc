"""Model servers as systemd units: written, verified, started, and seen to answer."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts import services as facts
from deploys.facts.files import Entries
from deploys.operations import files, programs, transport, versions
from deploys.operations.files import File
from deploys.operations.transport import HostCommand
from deploys.operations.versions import Version
from deploys.planning.software import Software

_WANTS = "/etc/systemd/system/multi-user.target.wants"
# Seconds between two looks at a service that is starting, and between two lines about it.
_LOOK_EVERY = 0.5
_SAY_EVERY = 10.0


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One service of a machine.

    + name: of the unit, with its instance
    + files: unit file and configuration; the same File may belong to several services
    + digest: of all that a running process must have been started with; it finds it in its
      environment as MODELRACK_DIGEST
    + url, model: where it answers, and which model must
    + stable: seconds it has to stay up
    + patience: seconds it may take to load the model
    """

    name: str
    files: tuple[File, ...]
    digest: str
    url: str
    model: str
    stable: float = 3.0
    patience: float = 1800.0

    def to_json(self) -> dict[str, Any]:
        """What is noted of it: all that it takes to ask it again."""
        return {key: value for key, value in vars(self).items() if key != "files"}


@operation()
def running(
    software: Software, units: Sequence[Unit], deployed: dict[str, Any], systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Have the services of one engine configured, running with a version of it, and answering.

    + software: what is installed of the engine; `current` points to it afterwards
    + units: all services of the engine
    + deployed: their part of state.json
    + systemd: False in a tree that is being made into an image, where nothing is started

    What does not answer is taken back: what served before serves again, and the host fails.

    Whether a restart is due is read from the running process, not remembered from this run: a run
    that was killed between writing a file and the restart is put right by the next one.
    """
    version = Version(
        software=software,
        files=tuple(dict.fromkeys(file for unit in units for file in unit.files)),
        services=[unit.to_json() for unit in units],
        deployed=deployed,
    )
    missing = files.differing([*version.entries, version.note])
    unproven = version.note in missing
    missing = [entry for entry in missing if entry != version.note]
    if not systemd:
        yield from _in_an_image(units, missing)
        return
    found = host.get_fact(facts.Units, questions=_questions(units, chat=False))
    switched = version.link in missing
    todo = [
        unit
        for unit in units
        if switched or {*unit.files} & {*missing} or not _as_wanted(unit, found.get(unit.name))
    ]
    if not todo and not unproven:
        host.noop("all services run and answer")
        return
    if switched:
        yield HostCommand(versions.smoke, version)
    if missing:
        yield from _configure(missing)
    reload = any(state.reload == "yes" for state in found.values())
    if reload or any(_is_unit_file(file.path) for file in missing):
        yield StringCommand("systemctl", "daemon-reload")
    for unit in todo:
        state = found.get(unit.name)
        name = QuoteString(unit.name)
        if state is None or state.enabled != "enabled":
            yield StringCommand("systemctl", "enable", "--quiet", name)
        changed = switched or {*unit.files} & {*missing}
        if state is None or _needs_a_start(unit, state) or changed:
            yield _restart(unit)
    for unit in todo:
        yield HostCommand(_answers_or_goes_back, unit, version)
    if unproven:
        yield versions.proven(version)


def _restart(unit: Unit) -> StringCommand:
    name = QuoteString(unit.name)
    return StringCommand(
        *("systemctl", "reset-failed", name, "2>/dev/null", ";"),
        # Whether it came up is seen by looking: what served before can still serve.
        *("systemctl", "restart", name, "||", "true"),
    )


def _in_an_image(
    units: Sequence[Unit], missing: list[files.Entry]
) -> Generator[PyinfraCommand, None, None]:
    """Configured and enabled; the first boot starts them."""
    wanted = {f"{_WANTS}/{unit.name}": unit.name for unit in units}
    enabled = host.get_fact(Entries, paths=tuple(wanted))
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
    return path.startswith("/etc/systemd/system/")


def _as_wanted(unit: Unit, state: facts.Unit | None) -> bool:
    return (
        state is not None
        and state.active == "active"
        and state.enabled == "enabled"
        and state.reload == "no"
        and not _needs_a_start(unit, state)
        and state.answer == "ok"
    )


def _needs_a_start(unit: Unit, state: facts.Unit) -> bool:
    return state.active != "active" or state.digest != unit.digest or state.stale


def _questions(units: Sequence[Unit], *, chat: bool) -> str:
    return json.dumps(
        [
            {
                "unit": unit.name,
                "url": unit.url,
                "model": unit.model,
                "files": [file.path for file in unit.files],
                "chat": chat,
            }
            for unit in units
        ]
    )


def _answers_or_goes_back(
    state: State, host: Host, arguments: Any, unit: Unit, version: Version
) -> bool:
    """It answers; else what served before is put back, and the host fails all the same."""
    if _wait_until_it_answers(state, host, arguments, unit):
        return True
    _, before = bring_back(state, host, arguments, version.engine, "serving", version)
    logger.error(
        f"{host.print_prefix}{unit.name} does not answer with {version} as planned; {before}."
        f" More with: journalctl -u {unit.name}"
    )
    return False


def bring_back(
    state: State,
    host: Host,
    arguments: Any,
    engine: str,
    which: versions.Note,
    failed: Version | versions.Note,
) -> tuple[bool, str]:
    """Have what a note says serve again; whether it does, and half a sentence that says so.

    + failed: what is taken back
    """
    note, problem = versions.restored(host, arguments, engine, which, failed)
    if note is None:
        return False, problem
    for name in note["stop"]:
        transport.run(host, arguments, "systemctl", "disable", "--quiet", "--now", name)
    # Another version of ours may have noted it.
    known = {field.name for field in fields(Unit)}
    units = [
        Unit(files=(), **{key: each[key] for key in known & {*each}}) for each in note["services"]
    ]
    transport.run(host, arguments, "systemctl", "daemon-reload")
    for unit in units:
        looked = _look(host, arguments, unit)
        if looked is None or looked.enabled != "enabled" or _needs_a_start(unit, looked):
            transport.run(host, arguments, "systemctl", "enable", "--quiet", QuoteString(unit.name))
            transport.run(host, arguments, _restart(unit))
    back = f"{engine} {note['version']}"
    if all(_wait_until_it_answers(state, host, arguments, unit) for unit in units):
        return True, f"{back} serves again, with the settings that it had"
    return False, f"{back} was put back, with the settings that it had, and does not answer either"


def _wait_until_it_answers(state: State, host: Host, arguments: Any, unit: Unit) -> bool:
    """The right model answers a question, and the process stays the same for a while."""
    started = said = time.monotonic()
    first: facts.Unit | None = None
    answering_since = started
    while True:
        now = time.monotonic()
        found = _look(host, arguments, unit)
        if found is not None and found.active == "active" and found.answer == "ok":
            if first is None or (found.pid, found.restarts) != (first.pid, first.restarts):
                first, answering_since = found, now
            elif now - answering_since >= unit.stable:
                logger.info(f"{host.print_prefix}{unit.name} answers as {unit.model} on {unit.url}")
                return True
        elif found is not None and found.active in ("failed", "inactive"):
            return _give_up(host, arguments, unit, f"{unit.name} stopped: it is {found.active}")
        elif now - started > unit.patience:
            why = found.answer if found else "its state cannot be read"
            return _give_up(host, arguments, unit, f"{unit.name} does not answer: {why}")
        elif found is not None and int(found.restarts or 0) >= 3:
            return _give_up(host, arguments, unit, f"{unit.name} keeps stopping")
        if now - said >= _SAY_EVERY:
            said = now
            logger.info(f"{host.print_prefix}{unit.name}: loading for {now - started:.0f} s")
        transport.pause(_LOOK_EVERY)


def _look(host: Host, arguments: Any, unit: Unit) -> facts.Unit | None:
    ok, output = transport.run(
        host,
        arguments,
        *("printf", "%s", QuoteString(_questions([unit], chat=True)), "|"),
        programs.inline("services"),
    )
    if not ok or not output.stdout_lines:
        return None
    return facts.Unit(**json.loads(output.stdout_lines[-1])[unit.name])


def _give_up(host: Host, arguments: Any, unit: Unit, reason: str) -> bool:
    _, journal = transport.run(
        host,
        arguments,
        *("journalctl", "--no-pager", "--output=cat", "--lines=20", "--unit"),
        QuoteString(unit.name),
    )
    for line in journal.stdout_lines:
        logger.error(f"{host.print_prefix}  {line}")
    logger.error(
        f"{host.print_prefix}{reason}. The lines above are the end of its journal;"
        f" more with: journalctl -u {unit.name}"
    )
    return False
