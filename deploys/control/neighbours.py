"""The other hosts of the inventory that share weights with the current one."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

from pyinfra import state
from pyinfra.api import Host

from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.weights.peers import Neighbour
from deploys.planning.weights.weights import keys_of

# Reads the facts of a host in this run; None if it has none.
MachineOf = Callable[[Host, Site], Machine | None]


def neighbours(this: Host, site: Site, machine_of: MachineOf) -> tuple[Neighbour, ...]:
    """Return the other hosts in the same peer network, including those excluded by --limit.

    + machine_of: reads the facts of a host in this run
    """
    if site.peers is None:
        return ()
    found = []
    for other in state.inventory:
        theirs, profile = other.data.get("site"), other.data.get("profile")
        if other is this or not isinstance(theirs, Site) or not isinstance(profile, HostProfile):
            continue
        if (theirs.peers, theirs.peer_port) != (site.peers, site.peer_port):
            continue
        models: set[str] = set()
        for service in profile.services:
            # A model that nobody knows is refused by that machine's own plan.
            with suppress(Refusal):
                models |= keys_of(service)
        if models:
            found.append(
                Neighbour(
                    name=other.name,
                    addresses=addresses(other, theirs, machine_of),
                    models=frozenset(models),
                )
            )
    return tuple(found)


def addresses(other: Host, site: Site, machine_of: MachineOf) -> tuple[str, ...]:
    """Return where another host may be reached: as the inventory says, or it, or its name."""
    if given := other.data.get("peer_address"):
        return (str(given),)
    if other in state.active_hosts and (machine := machine_of(other, site)):
        return machine.addresses
    # It is not asked, because this run is not for it, or cannot answer yet; its name may be enough.
    name = other.data.get("ssh_hostname") or other.name
    with suppress(OSError, UnicodeError):
        return tuple(dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(name, None)))
    return ()
