"""How a machine without Python comes by it: the first thing, since all of ours is in Python."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.inputs.machine import RHEL_LIKE, Bare
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.package_manager import Apt, PackageManager, check_system, package_manager_of

# The oldest Python that our programs run on.
OLDEST = (3, 9)


@dataclass(frozen=True, kw_only=True)
class FirstPython:
    """What is installed before anything else, and by whom.

    + package: the distribution's name of it
    + manager: how this machine installs packages
    + system: name of the distribution
    """

    package: str
    manager: PackageManager
    system: str

    @property
    def command(self) -> str:
        """What is run, in short."""
        tool = "apt-get" if isinstance(self.manager, Apt) else "dnf"
        return f"{tool} install {self.package}"


def first_python(site: Site, machine: Bare) -> FirstPython:
    """How this machine gets Python; a machine that it cannot be had for is refused."""
    check_system(machine)
    there = machine.python.removeprefix("Python ")
    if there and _release(there) < OLDEST:
        raise Refusal(
            f"The python3 of this machine is {there}, and our programs need"
            f" {'.'.join(map(str, OLDEST))} or newer",
            "Have a newer one be its python3, with update-alternatives or alternatives",
        )
    tool = "dnf" if machine.os in RHEL_LIKE else "apt-get"
    if tool not in machine.managers:
        raise Refusal(
            f"There is neither python3 nor {tool} on this machine",
            f"Install python3 {'.'.join(map(str, OLDEST))} or newer on it",
        )
    manager = package_manager_of(site, machine)
    return FirstPython(
        # The python3 of RHEL 8 is 3.6.
        package="python39" if tool == "dnf" and machine.os_version.startswith("8") else "python3",
        manager=manager,
        system=machine.os,
    )


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
