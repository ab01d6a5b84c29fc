"""Services that are to run no more: stopped, not started at boot, and what belongs to them gone."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts.files import Entries
from deploys.operations.services.service import WANTS

# What the settings of a model server are called, behind its name.
_SETTINGS = ("env", "yaml")


@operation()
def unit(
    unit: str, paths: Sequence[str], systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Have a service stopped and everything of it gone.

    + unit: its name
    + paths: unit file, configuration and folders of its own; they are removed with all in them
    + systemd: False in a tree that is being made into an image
    """
    found = host.get_fact(Entries, paths=(*paths, f"{WANTS}/{unit}"))
    if not found:
        host.noop(f"there is no {unit}")
        return
    now = ["--now"] if systemd else []
    yield StringCommand(
        # Half of it may be gone; what is left is removed next.
        *("systemctl", "disable", "--quiet", *now, QuoteString(unit), "2>/dev/null", "||", "true")
    )
    there = [path for path in (*paths, f"{WANTS}/{unit}") if path in found]
    yield StringCommand("rm", "-rf", "--", *map(QuoteString, there))
    if systemd:
        yield StringCommand("systemctl", "daemon-reload")


@operation()
def servers(units: Sequence[str], systemd: bool = True) -> Generator[PyinfraCommand, None, None]:
    """
    Have model servers stopped that are planned no more, and their settings gone.

    + units: their names; the unit file may be that of others, too, and stays
    + systemd: False in a tree that is being made into an image
    """
    if not units:
        host.noop("nothing else serves models")
        return
    # The settings first: as long as a unit is enabled, the next run knows that it is to go.
    names = [name for unit in units if (name := unit.partition("@")[2].removesuffix(".service"))]
    settings = [f"/etc/modelrack/services/{name}.{kind}" for name in names for kind in _SETTINGS]
    measured = [f"/var/lib/modelrack/services/{name}.json" for name in names]
    if names:
        yield StringCommand("rm", "-f", "--", *map(QuoteString, (*settings, *measured)))
    now = ["--now"] if systemd else []
    yield StringCommand("systemctl", "disable", "--quiet", *now, *map(QuoteString, units))
    if systemd:
        failed = ("systemctl", "reset-failed", *map(QuoteString, units), "2>/dev/null")
        yield StringCommand(*failed, "||", "true")
