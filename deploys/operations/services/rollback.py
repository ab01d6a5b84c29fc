"""Manual rollback of an engine to its previous version, with the settings it had."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import transport
from deploys.connection.transport import HostCommand
from deploys.facts.versions import Noted, Versions
from deploys.operations.services import service, versions


@operation()
def to_previous(engine: str | None = None) -> Generator[PyinfraCommand, None, None]:
    """
    Roll an engine back to the version that served before the current one.

    + engine: which one; None if only one engine has served here

    Running it again changes nothing: it goes back one version and does not toggle between two.
    """
    noted = host.get_fact(Versions, folder=versions.NOTES)
    if engine is None and len(noted) == 1:
        engine = next(iter(noted))
    found = noted.get(engine or "", Noted())
    if engine and found.previous:
        yield HostCommand(_go_back, engine, found.serving)
    elif engine and found.withdrawn:
        host.noop(f"{engine} {found.serving} already serves in place of {found.withdrawn}")
    else:
        yield transport.fail(_why_not(engine, noted))


def _why_not(engine: str | None, noted: dict[str, Noted]) -> str:
    if not noted:
        return "No engine has served here yet, so there is no version to go back to"
    if engine in noted:
        return f"Only {noted[engine].serving} of {engine} has served here, so there is no other"
    said = f"{engine} has not served here" if engine else "Several engines serve here"
    return f"{said}: say which with --data engine={' or --data engine='.join(noted)}"


def _go_back(state: State, host: Host, arguments: Any, engine: str, serving: str) -> bool:
    ok, said = service.restore(state, host, arguments, engine, "previous", "serving")
    if not ok:
        _, after = service.restore(state, host, arguments, engine, "serving", "previous")
        logger.error(f"{host.print_prefix}{said or 'nothing was changed'}; {after}")
        return False
    problem = versions.withdrawn(host, arguments, engine)
    if problem:
        logger.error(f"{host.print_prefix}{said}, but that cannot be noted: {problem}")
        return False
    logger.info(
        f"{host.print_prefix}{said}. The next deploys/full.py switches to {serving} again: to"
        " stay, have git put deploys/locks and inventories back to what they were"
    )
    return True
