"""What the gateway of a host depends on beside that host: keys, and the inventory's other hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pyinfra import state
from pyinfra.api import Host

from deploys.control import groups, keys, locks, own_certificate, tokens
from deploys.control.neighbours import MachineOf, addresses
from deploys.planning.adapters.fits import names_of
from deploys.planning.checkpoint import read
from deploys.planning.checkpoint.reference import is_reference, reference
from deploys.planning.engines.registry import ENGINES
from deploys.planning.gateway.choice import OtherMachine, ServedElsewhere, Surroundings
from deploys.planning.gateway.key import Key
from deploys.planning.group.choice import grouped, rank_of
from deploys.planning.inputs.gateway import Acme
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.models.shapes import Task
from deploys.planning.monitoring.plan import ScrapeTarget
from deploys.planning.monitoring.targets import targets_of
from deploys.planning.weights.peers import address_in
from deploys.planning.weights.weights import key_of, task_of


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
        watches = _watches(theirs, host.name, profile)
        targets = _targets(host, theirs) if _watches(profile, this.name, theirs) else ()
        concerned = asks or watches or targets or host.name in also
        others.append(
            OtherMachine(
                name=host.name,
                address=_address(host, site, machine_of) if concerned else None,
                # Only a gateway asks for it, and to find the head of a group takes the whole class.
                offers=tuple(_offers(theirs, site))
                if profile.gateway and _answers(host, theirs)
                else (),
                asks=asks,
                watches=watches,
                targets=targets,
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
    if profile.monitoring:
        try:
            tokens.of_monitoring(profile.monitoring)
        except Refusal as refusal:
            refusals.append(refusal)
    return Surroundings(name=this.name, keys=found, refusals=tuple(refusals), others=tuple(others))


def _watches(watching: HostProfile, name: str, watched: HostProfile) -> bool:
    """Whether the machine `name`, which has monitoring, watches one of another profile."""
    by = watched.monitoring.by if watched.monitoring else None
    return watching.monitoring is not None and by == name


def _targets(host: Host, profile: HostProfile) -> tuple[ScrapeTarget, ...]:
    # What another machine watches has a gateway, through which it does.
    return targets_of(profile.services if _answers(host, profile) else (), gateway=True)


def _answers(host: Host, profile: HostProfile) -> bool:
    """Whether a host answers itself, and not another that serves its model together with it."""
    shared = grouped(profile)
    names = [each.name for each in groups.of_class(host, profile)] if shared else []
    return shared is None or rank_of(shared, names, host.name) == 0


def _offers(profile: HostProfile, site: Site) -> Iterator[ServedElsewhere]:
    for service in profile.services:
        served = ENGINES[service.engine].model_id.format(service.name)
        # A model that nobody knows is refused by that machine's own plan.
        with suppress(Refusal):
            yield ServedElsewhere(
                service=service.name,
                model=key_of(service),
                served=served,
                task=_task(service, site),
                adapters=names_of(service),
            )


def _task(service: Service, site: Site) -> Task:
    """Return what is asked of a service of another machine, whose model may be named by a hub."""
    if service.task or not is_reference(service.model):
        return task_of(service)
    try:
        return read.of_reference(
            reference(str(service.model)), locks.read(site.locks), site.locks
        ).network.task
    except Refusal:
        # Not read yet: nearly all answer, and the next run knows.
        return "generate"


def _address(host: Host, site: Site, machine_of: MachineOf) -> str | None:
    found = addresses(host, site, machine_of)
    if site.machines:
        return address_in(site.machines, found)
    return found[0] if found else None
