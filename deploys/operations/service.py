"""Model servers as systemd units: written, verified, started, and seen to be healthy."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts import services as facts
from deploys.facts.files import Entries
from deploys.operations import files, health, transport, versions
from deploys.operations.files import File
from deploys.operations.transport import HostCommand
from deploys.operations.versions import Version
from deploys.planning import render
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.software import Software

_WANTS = "/etc/systemd/system/multi-user.target.wants"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One service of a machine.

    + name: of the unit, with its instance
    + engine: who serves, so whose words its journal is in
    + files: unit file and configuration; the same File may belong to several services
    + digest: of all that a running process must have been started with; it finds it in its
      environment as MODELRACK_DIGEST
    + url, model: where it answers, and which model must
    + context: tokens that one request must be able to use
    + measured: file on the machine that keeps how fast it is
    + floor: tokens per second that one request alone must get; None for no opinion
    + stable: seconds it has to stay up
    + patience: seconds it may take to load the model

    A new field needs a default: machines have notes of older units, to go back to them.
    """

    name: str
    engine: str
    files: tuple[File, ...]
    digest: str
    url: str
    model: str
    context: int
    measured: str
    floor: float | None = None
    stable: float = 3.0
    patience: float = 1800.0

    @classmethod
    def of(cls, plan: HostPlan, planned: ServicePlan) -> Unit:
        """The unit of a service of the plan."""
        rendered, digest = render.service(plan, planned)
        return cls(
            name=planned.unit,
            engine=planned.engine,
            files=tuple(map(File.of, rendered)),
            digest=digest,
            url=planned.url,
            model=planned.name,
            context=planned.context,
            measured=planned.measured,
            floor=planned.floor,
        )

    @classmethod
    def noted(cls, note: dict[str, Any]) -> Unit:
        """The unit that a machine has noted; its files are there."""
        known = {field.name for field in fields(cls)} & {*note}
        return cls(files=(), **{name: note[name] for name in known})

    def to_note(self) -> dict[str, Any]:
        """All that it takes to ask it again."""
        return {name: value for name, value in vars(self).items() if name != "files"}


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
        services=[unit.to_note() for unit in units],
        deployed=deployed,
    )
    missing = files.differing([*version.entries, version.note])
    unproven = version.note in missing
    missing = [entry for entry in missing if entry != version.note]
    if not systemd:
        yield from _in_an_image(units, missing)
        return
    found = host.get_fact(facts.Units, questions=health.questions(units, chat=False))
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
    unmeasured = []
    for unit in todo:
        state = found.get(unit.name)
        name = QuoteString(unit.name)
        if state is None or state.enabled != "enabled":
            yield StringCommand("systemctl", "enable", "--quiet", name)
        changed = switched or {*unit.files} & {*missing}
        starts = changed or state is None or _needs_a_start(unit, state)
        if starts or state is None or not health.is_measured(unit, state):
            unmeasured.append(unit)
        if starts:
            yield _restart(unit)
    for unit in todo:
        yield HostCommand(_or_go_back, health.wait_until_it_answers, unit, version)
    # When all are up: what loads a model takes the machine's time from its neighbours.
    for unit in unmeasured:
        yield HostCommand(_or_go_back, health.measure, unit, version)
    if unproven:
        yield versions.proven(version)


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
        and health.is_measured(unit, state)
    )


def _needs_a_start(unit: Unit, state: facts.Unit) -> bool:
    return state.active != "active" or state.digest != unit.digest or state.stale


def _or_go_back(
    state: State,
    host: Host,
    arguments: Any,
    check: Callable[[State, Host, Any, Unit], bool],
    unit: Unit,
    version: Version,
) -> bool:
    """A check of one service; where it fails, what served before is put back, and the run fails."""
    if check(state, host, arguments, unit):
        return True
    _, before = bring_back(state, host, arguments, version.engine, "serving", version)
    if before:
        logger.error(
            f"{host.print_prefix}{unit.name} does not serve as planned with {version}; {before}."
            f" More with: journalctl -u {unit.name}"
        )
    return False


def bring_back(
    state: State,
    host: Host,
    arguments: Any,
    engine: str,
    note: versions.Note,
    failed: Version | versions.Note,
) -> tuple[bool, str]:
    """Have what a note says serve again; whether it does, and half a sentence that says so.

    + failed: what is taken back; where there is nothing else, there is nothing to say
    """
    restored, problem = versions.restored(host, arguments, engine, note, failed)
    if restored is None:
        return False, problem
    transport.run(host, arguments, "systemctl", "daemon-reload")
    for name in map(QuoteString, restored["stop"]):
        transport.run(host, arguments, "systemctl", "disable", "--quiet", "--now", name)
    units = [Unit.noted(each) for each in restored["services"]]
    for unit in units:
        found = health.look(host, arguments, unit)
        if found is None or found.enabled != "enabled" or _needs_a_start(unit, found):
            name = QuoteString(unit.name)
            transport.run(host, arguments, "systemctl", "enable", "--quiet", name)
            transport.run(host, arguments, _restart(unit))
    version = f"{engine} {restored['version']}"
    if not all(health.wait_until_it_answers(state, host, arguments, unit) for unit in units):
        return False, f"{version} was put back with the settings that it had, but does not answer"
    for unit in units:
        health.measure(state, host, arguments, unit)
    return True, f"{version} serves again, with the settings that it had"
