"""The hosts of a class, of which each so many serve a model together."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service


@dataclass(frozen=True, kw_only=True)
class HostOfClass:
    """One host of the class.

    + name: in the inventory
    + profile: as that host has it
    + machine: as it is now; None where this run does not know it
    + asked: it is part of this run
    + address: what the inventory says as fabric_address; None where it does not
    """

    name: str
    profile: HostProfile
    machine: Machine | None = None
    asked: bool = True
    address: str | None = None

    def service(self, name: str) -> Service | None:
        """Return its service of this name."""
        return next((each for each in self.profile.services if each.name == name), None)


@dataclass(frozen=True, kw_only=True)
class HostsOfClass:
    """All hosts of the class that a machine is of, in the order of the inventory, itself included.

    + me: name of that machine
    + serial: the run does one host after another
    """

    me: str = ""
    hosts: tuple[HostOfClass, ...] = ()
    serial: bool = False


# A machine of no inventory.
NOBODY = HostsOfClass()
