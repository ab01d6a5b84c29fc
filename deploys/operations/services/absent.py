"""Services that should no longer run: stopped, disabled, and their files removed."""

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
    Stop a service and remove everything that belongs to it.

    + unit: its name
    + paths: unit file, configuration and directories of its own; removed recursively
    + systemd: False while an image is built
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
    Stop model servers that are no longer planned, and remove their settings.

    + units: their names; a unit file may be shared with other services and is kept
    + systemd: False while an image is built
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
