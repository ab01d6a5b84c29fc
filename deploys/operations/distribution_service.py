"""nginx, started by units of ours instead of the service that its package brings."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.operations import packages
from deploys.planning.package_manager import PackageManager

# A dependency of nothing else and in the main archive of Debian and Ubuntu alike.
_PACKAGE = "nginx"
_SERVICE = "nginx.service"


@operation()
def installed(
    manager: PackageManager, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Install nginx; if it was not installed before, its own service is neither started nor enabled.

    + manager: the machine's package manager
    + systemd: False while an image is built

    Debian's packages start and enable the services they bring. A machine that already had nginx has
    it for a reason, and keeps its service as it is.
    """
    commands = list(packages.installing((_PACKAGE,), manager))
    if not commands:
        host.noop("nginx is installed")
        return
    # Until the next boot at most, should this run end in the middle.
    if systemd:
        yield StringCommand("systemctl", "mask", "--quiet", "--runtime", _SERVICE)
    yield from commands
    if systemd:
        yield StringCommand("systemctl", "unmask", "--quiet", "--runtime", _SERVICE)
    yield StringCommand("systemctl", "disable", "--quiet", _SERVICE)
