"""Machines out of a running gateway's use, and back."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence

from pyinfra import host, logger
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import programs
from deploys.facts.gateway import DrainedMachines
from deploys.rendering.gateway import MASTER, server_name


@operation()
def away(machines: Sequence[str], patience: int) -> Generator[PyinfraCommand, None, None]:
    """
    Have the gateway ask these machines no longer, and wait until they have ended their answers.

    + machines: names of the inventory
    + patience: seconds for that; it fails if there still are requests then

    Where no other copy of a service answers, it stays in use.
    """
    wanted = _wanted(machines, away=True, patience=patience)
    found = host.get_fact(DrainedMachines, wanted=wanted)
    for service in found.alone:
        logger.warning(
            f"{host.print_prefix}No other copy of {service} answers, so it is asked all the while"
        )
    if not found.due:
        host.noop("nothing is asked of them")
        return
    yield _told(wanted)


@operation()
def back(machines: Sequence[str], patience: int) -> Generator[PyinfraCommand, None, None]:
    """
    Have the gateway ask these machines again, and wait until it finds that they answer.

    + machines: names of the inventory
    + patience: seconds for that; it fails if one does not answer then
    """
    wanted = _wanted(machines, away=False, patience=patience)
    if not host.get_fact(DrainedMachines, wanted=wanted).due:
        host.noop("they are in use")
        return
    yield _told(wanted)


def _wanted(machines: Sequence[str], *, away: bool, patience: int) -> str:
    names = [server_name(machine) for machine in machines]
    request = {"master": MASTER, "machines": names, "away": away, "patience": patience}
    return json.dumps(request)


def _told(wanted: str) -> StringCommand:
    return StringCommand("printf", "%s", QuoteString(wanted), "|", programs.inline("gateway.drain"))
