"""Kernel settings of the running machine; /etc/sysctl.d makes them last."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts.sysctl import Settings


@operation()
def live(values: Mapping[str, int], systemd: bool = True) -> Generator[PyinfraCommand, None, None]:
    """
    Have the running kernel use these settings.

    + values: key and number
    + systemd: False in a tree that is being made into an image: its kernel is not running

    In a container most settings belong to the kernel's owner and cannot be written; they are left.
    """
    found = host.get_fact(Settings, keys=tuple(values)) if systemd else {}
    wrong = [
        f"{key}={value}"
        for key, value in values.items()
        if key in found and found[key] not in (str(value), None)
    ]
    if not wrong:
        host.noop("the kernel settings are as wanted, or not ours to set")
        return
    yield StringCommand("sysctl", "-q", "-w", *(QuoteString(setting) for setting in wrong))
