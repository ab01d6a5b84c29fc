"""The table of usage, of all machines of a run."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

import click
from pyinfra import host, logger, state

from deploys.connection import transport
from deploys.control.clients.gathered import Gathered
from deploys.facts.usage import Log
from deploys.planning import unit_names
from deploys.planning.gateway.usage import GatewayLog, total
from deploys.rendering import usage


def read(form: str) -> None:
    """Read the log of the current host, to be printed with those of the others at the end.

    + form: "table" or "csv"
    """
    this = state.inventory.get_host(host.name)
    found = this.get_fact(Log, journal=unit_names.GATEWAY_JOURNAL)
    if this in state.failed_hosts:
        transport.stop(this)
    _FORMS[form].add(this.state, this, found)


def _table(logs: dict[str, GatewayLog], missing: Sequence[str]) -> None:
    rows = total(row for log in logs.values() for row in log.rows)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(usage.table(rows, width) if rows else "No gateway has answered anybody yet.")
    if any(row.estimated for row in rows):
        click.echo("~ with answers of which the engine did not say the tokens: they are estimated")
    for name, log in logs.items():
        if log.rows:
            click.echo(f"{name}: since {log.since}, UTC")
    _warn(logs, missing)


def _csv(logs: dict[str, GatewayLog], missing: Sequence[str]) -> None:
    click.echo(usage.as_csv(total(row for log in logs.values() for row in log.rows)), nl=False)
    _warn(logs, missing)


def _warn(logs: dict[str, GatewayLog], missing: Sequence[str]) -> None:
    for name, log in logs.items():
        if log.broken:
            logger.warning(f"{name}: {log.broken} lines of the log cannot be read")
    if missing:
        logger.warning(f"Not counted, as they could not be asked: {', '.join(missing)}")


_FORMS = {"table": Gathered(_table), "csv": Gathered(_csv)}
