"""Kernel parameters of the running machine; /etc/sysctl.d makes them persistent."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking
from deploys.facts.sysctl import Settings


@operation()
def live(values: Mapping[str, int], systemd: bool = True) -> Generator[PyinfraCommand, None, None]:
    """
    Set parameters of the running kernel.

    + values: key and number
    + systemd: False while an image is built: its kernel is not running

    In a container most parameters belong to the host and are read-only; these are skipped.
    """
    found = host.get_fact(Settings, keys=tuple(values)) if systemd else {}
    wrong = {
        f"{key}={value}": f"{key} is {found[key]} instead of {value}"
        for key, value in values.items()
        if key in found and found[key] not in (str(value), None)
    }
    looking.differs(wrong.values())
    if not wrong:
        host.noop("the kernel settings are as wanted, or not ours to set")
        return
    yield StringCommand("sysctl", "-q", "-w", *(QuoteString(setting) for setting in wrong))
