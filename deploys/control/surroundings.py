"""What the gateway of a host depends on beside that host: keys, and the inventory's other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pyinfra import state
from pyinfra.api import Host

from deploys.control import keys, own_certificate
from deploys.control.neighbours import MachineOf, addresses
from deploys.planning.engines.registry import ENGINES
from deploys.planning.gateway.choice import OtherMachine, ServedElsewhere, Surroundings
from deploys.planning.gateway.key import Key
from deploys.planning.inputs.gateway import Acme
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.weights.peers import address_in
from deploys.planning.weights.weights import model_of


def around(this: Host, profile: HostProfile, site: Site, machine_of: MachineOf) -> Surroundings:
    """Return what is known of the other hosts, including those excluded by --limit.

    + machine_of: reads the facts of a host in this run
    """
    others = []
    also = profile.gateway.also if profile.gateway else ()
    for host in state.inventory:
        theirs = host.data.get("profile")
        if host is this or not isinstance(theirs, HostProfile):
            continue
        asks = theirs.gateway is not None and this.name in theirs.gateway.also
        concerned = asks or host.name in also
        others.append(
            OtherMachine(
                name=host.name,
                address=_address(host, site, machine_of) if concerned else None,
                offers=tuple(_offers(theirs)),
                asks=asks,
            )
        )
    found: tuple[Key, ...] = ()
    refusals = []
    if wanted := profile.gateway:
        try:
            found = keys.read(wanted.keys)
        except Refusal as refusal:
            refusals.append(refusal)
        try:
            if isinstance(wanted.certificate, Acme):
                own_certificate.authorities(wanted.certificate)
            elif wanted.certificate:
                own_certificate.read(wanted.certificate, wanted.host)
        except Refusal as refusal:
            refusals.append(refusal)
    return Surroundings(name=this.name, keys=found, refusals=tuple(refusals), others=tuple(others))


def _offers(profile: HostProfile) -> Iterator[ServedElsewhere]:
    for service in profile.services:
        served = ENGINES[service.engine].model_id.format(service.name)
        # A model that nobody knows is refused by that machine's own plan.
        with suppress(Refusal):
            yield ServedElsewhere(service=service.name, model=model_of(service).key, served=served)


def _address(host: Host, site: Site, machine_of: MachineOf) -> str | None:
    found = addresses(host, site, machine_of)
    if site.machines:
        return address_in(site.machines, found)
    return found[0] if found else None
