"""Servers of the distribution, started by units of ours instead of the service of their package."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.operations import packages
from deploys.planning.package_manager import PackageManager


@operation()
def installed(
    package: str, manager: PackageManager, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Install a server; if it was not installed before, its service is neither started nor enabled.

    + package: its name, which its service has, too
    + manager: the machine's package manager
    + systemd: False while an image is built

    Debian's packages start and enable the services they bring. A machine that already had one has
    it for a reason, and keeps its service as it is.
    """
    commands = list(packages.installing((package,), manager))
    if not commands:
        host.noop(f"{package} is installed")
        return
    service = f"{package}.service"
    # Until the next boot at most, should this run end in the middle.
    if systemd:
        yield StringCommand("systemctl", "mask", "--quiet", "--runtime", service)
    yield from commands
    if systemd:
        yield StringCommand("systemctl", "unmask", "--quiet", "--runtime", service)
    yield StringCommand("systemctl", "disable", "--quiet", service)
