"""nginx as a program that units of ours start, and not as the service that its package brings."""

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
    Have nginx installed; where it was not, its own service neither runs nor starts at boot.

    + manager: how packages are installed here
    + systemd: False in a tree that is being made into an image

    Debian's packages start and enable what they bring. A machine that had nginx before has it for
    a reason, and keeps its service as it is.
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
