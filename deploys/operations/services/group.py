"""What several machines serve together: it answers when all of them run."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection.transport import HostCommand
from deploys.facts import services as facts
from deploys.operations import files
from deploys.operations.services import health, versions
from deploys.operations.services.service import version_of
from deploys.operations.services.unit import Unit
from deploys.planning.engines.software import Software


@operation()
def answering(
    units: Sequence[Unit], software: Software, deployed: dict[str, Any]
) -> Generator[PyinfraCommand, None, None]:
    """
    Wait until what several machines serve together answers on its head, and record what serves.

    + units, software, deployed: those of service.running, which has started them on all machines

    It is an operation of its own, as the head waits for machines that have not begun with theirs
    while it is done: pyinfra does an operation on some machines at a time.

    Nothing is restored where it does not answer: all machines have to go back, or none.
    """
    version = version_of(units, software, deployed)
    noted = not files.differing([version.note])
    found = host.get_fact(facts.Units, questions=health.status_request(units, ask=False))
    todo = [unit for unit in units if health.differs(unit, found.get(unit.name))]
    if noted and not todo:
        host.noop("its group answers")
        return
    for unit in todo:
        yield HostCommand(_checked, unit)
    yield versions.proven(version)


def _checked(state: State, host: Host, arguments: Any, unit: Unit) -> bool:
    """Wait for a unit, and measure the head; return whether it serves as planned."""
    if health.wait_until_it_answers(state, host, arguments, unit, None) and health.measure(
        state, host, arguments, unit, None
    ):
        return True
    logger.error(
        f"{host.print_prefix}{unit.name} is served together with {', '.join(unit.group)}: look at"
        " its journal there, too. To go back to what served before, run deploys/rollback.py on all"
        " of them at once"
    )
    return False
