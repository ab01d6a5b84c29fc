"""Servers as systemd units: written, verified, started, seen to be healthy; or taken away."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts import services as facts
from deploys.facts.files import Entries
from deploys.operations import files, health
from deploys.operations.files import File
from deploys.operations.transport import HostCommand
from deploys.planning import render
from deploys.planning.plan import HostPlan, ServicePlan

_WANTS = "/etc/systemd/system/multi-user.target.wants"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One service of a machine; several may be served by one unit of systemd.

    + name: of the unit, with its instance
    + files: unit file and configuration; the same File may belong to several services
    + digest: of all that a running process must have been started with; it finds it in its
      environment as MODELRACK_DIGEST. None for a program that overwrites its environment (nginx):
      then only the age of its files counts
    + url, model: where it answers, and which model must; None for a server without models
    + engine: who serves the model, so whose words the journal is in
    + context: tokens that one request must be able to use
    + measured: file on the machine that keeps how fast it is
    + floor: tokens per second that one request alone must get; None for no opinion
    + stable: seconds it has to stay up
    + patience: seconds it may take to load the model
    """

    name: str
    files: tuple[File, ...]
    digest: str | None
    url: str
    model: str | None
    engine: str | None = None
    context: int | None = None
    measured: str | None = None
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
            model=planned.served,
            patience=planned.patience,
            context=planned.context,
            measured=planned.measured,
            floor=planned.floor,
        )


@operation()
def running(units: Sequence[Unit], systemd: bool = True) -> Generator[PyinfraCommand, None, None]:
    """
    Have services configured, enabled, running with that configuration, and answering.

    + units: what should run
    + systemd: False in a tree that is being made into an image, where nothing is started

    Whether a restart is due is read from the running process, not remembered from this run: a run
    that was killed between writing a file and the restart is put right by the next one.
    """
    missing = files.differing(list(dict.fromkeys(file for unit in units for file in unit.files)))
    if not systemd:
        yield from _in_an_image(units, missing)
        return
    found = host.get_fact(facts.Units, questions=health.questions(units, chat=False))
    names = {
        unit.name
        for unit in units
        if {*unit.files} & {*missing} or not _as_wanted(unit, found.get(unit.name))
    }
    todo = [unit for unit in units if unit.name in names]
    if not todo:
        host.noop("all services run and answer")
        return
    if missing:
        yield from _configure(missing)
    reload = any(state.reload == "yes" for state in found.values())
    if reload or any(_is_unit_file(file.path) for file in missing):
        yield StringCommand("systemctl", "daemon-reload")
    restarted = set()
    for unit in {unit.name: unit for unit in todo}.values():
        state = found.get(unit.name)
        name = QuoteString(unit.name)
        if state is None or state.enabled != "enabled":
            yield StringCommand("systemctl", "enable", "--quiet", name)
        if state is None or _needs_a_start(unit, state) or {*unit.files} & {*missing}:
            restarted.add(unit.name)
            yield StringCommand(
                *("systemctl", "reset-failed", name, "2>/dev/null", ";"),
                *("systemctl", "restart", name),
            )
    for unit in todo:
        yield HostCommand(health.wait_until_it_answers, unit)
    # When all are up: what loads a model takes the machine's time from its neighbours.
    for unit in todo:
        measured = unit.name not in restarted and health.is_measured(unit, found[unit.name])
        if unit.measured and not measured:
            yield HostCommand(health.measure, unit)


@operation()
def absent(
    unit: str, paths: Sequence[str], systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Have a service stopped and everything of it gone.

    + unit: its name
    + paths: unit file, configuration and folders of its own; they are removed with all in them
    + systemd: False in a tree that is being made into an image
    """
    found = host.get_fact(Entries, paths=(*paths, f"{_WANTS}/{unit}"))
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
    yield files.write(missing, [file.path for file in missing if _is_unit_file(file.path)])


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
    other = unit.digest is not None and state.digest != unit.digest
    return state.active != "active" or other or state.stale
