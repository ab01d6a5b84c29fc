"""What the gateway of a machine is to be, from its profile and what is known of other machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from deploys.planning import unit_names
from deploys.planning.gateway.key import Key, own_keys
from deploys.planning.gateway.plan import (
    HTTPS,
    MACHINES,
    METRICS,
    REDIRECT,
    Backend,
    BackendServer,
    GatewayPlan,
    MachinePeer,
)
from deploys.planning.inputs.gateway import Acme, Certificate, Gateway
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.models.shapes import Task
from deploys.planning.monitoring.plan import ScrapeTarget, WatchedMachine
from deploys.planning.plan import ServicePlan

# Whose HAProxy counts tokens: 2.5 or newer is needed, and 2.6 is the oldest that it was run on.
_OLD_ENOUGH = {"debian": 12, "ubuntu": 24}


@dataclass(frozen=True, kw_only=True)
class ServedElsewhere:
    """A service of another machine: what it is asked, and under which names."""

    service: str
    model: str
    served: str
    task: Task = "generate"
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OtherMachine:
    """Another host of the inventory.

    + address: where this machine reaches it; None if that is not known
    + asks: its gateway answers with services of this machine, too
    + watches: it watches this machine, or could
    + targets: what this machine watches of it
    """

    name: str
    address: str | None
    offers: tuple[ServedElsewhere, ...] = ()
    asks: bool = False
    watches: bool = False
    targets: tuple[ScrapeTarget, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a gateway depends on beside its machine.

    + name: of this machine in the inventory
    + keys: those of the keys file
    + refusals: why the operator's files for the gateway cannot be used
    + others: every other host of the inventory
    """

    name: str = "this"
    keys: tuple[Key, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    others: tuple[OtherMachine, ...] = ()


# A machine of no inventory.
ALONE = Surroundings()


def gateway_of(
    wanted: Gateway | None,
    site: Site,
    machine: Machine,
    services: Sequence[ServicePlan],
    around: Surroundings,
    monitoring: Monitoring | None = None,
    targets: Sequence[ScrapeTarget] = (),
) -> GatewayPlan | None:
    """Return the gateway; None where nobody asks for one. Raise Refusal for what cannot work.

    + monitoring: what the profile says of it
    + targets: where the metrics of the machine are
    """
    peers = tuple(
        MachinePeer(name=other.name, address=other.address, asks=other.asks, watches=other.watches)
        for other in sorted(around.others, key=lambda other: other.name)
        if other.asks or other.watches
    )
    machines = tuple(_watched(around)) if monitoring else ()
    if wanted is None and not peers and not machines:
        return None
    _check_machine(machine)
    _check_ports(wanted, machine, peers)
    backends = tuple(_backends(wanted, services, around))
    plan = GatewayPlan(
        name=around.name,
        host=None,
        backends=backends,
        peers=peers,
        targets=tuple(targets) if any(peer.watches for peer in peers) else (),
        machines=machines,
        ipv6=any(":" in address for address in machine.addresses),
    )
    if wanted is None:
        return plan
    return GatewayPlan(
        **{
            **vars(plan),
            "host": wanted.host,
            "names": tuple(dict.fromkeys((wanted.host, "localhost", "127.0.0.1", "::1"))),
            "certificate": _certificate(wanted, site),
            "keys": (*_keys(wanted, backends, around), *own_keys(machine.own_key)),
            "rate": wanted.rate,
            "at_once": wanted.at_once,
            "chat": wanted.chat,
            "vouches": machine.own_key is not None and wanted.certificate is None,
            "monitoring": _shown(monitoring, around),
        }
    )


def _watched(around: Surroundings) -> Iterator[WatchedMachine]:
    for other in around.others:
        if other.targets:
            address = _address(other, "Monitoring", "which this machine watches")
            yield WatchedMachine(name=other.name, address=address, targets=other.targets)


def _shown(monitoring: Monitoring | None, around: Surroundings) -> Monitoring | None:
    return monitoring if monitoring and monitoring.by in (None, around.name) else None


def _certificate(wanted: Gateway, site: Site) -> Certificate | Acme | None:
    asked = wanted.certificate
    if isinstance(asked, Acme) and asked.directory is None:
        return replace(asked, directory=site.url("acme"))
    return asked


def _check_machine(machine: Machine) -> None:
    oldest = _OLD_ENOUGH.get(machine.os)
    if oldest is None:
        raise Refusal(
            f"The gateway is HAProxy as Debian and Ubuntu bring it, and this machine has"
            f" {machine.os} {machine.os_version}",
            "Take gateway out of its profile, and its name out of also of the others",
        )
    if int(machine.os_version.partition(".")[0] or 0) < oldest:
        raise Refusal(
            f"HAProxy of {machine.os} {machine.os_version} is too old for token counts, so it"
            " cannot be a gateway",
            "Upgrade it to Ubuntu 24.04 or Debian 12 and newer, or take gateway out of its profile"
            " and its name out of also of the others",
        )


def _check_ports(wanted: Gateway | None, machine: Machine, peers: Sequence[MachinePeer]) -> None:
    ports = [METRICS]
    ports += [REDIRECT, HTTPS] if wanted else []
    ports += [MACHINES] if peers else []
    for port in sorted(ports):
        owner = machine.ports.get(port)
        if owner is not None and owner != unit_names.GATEWAY:
            raise Refusal(
                f"Port {port} of the gateway is taken by {owner or 'a process'}",
                "Stop that process and keep it from starting again, or take gateway out of the"
                " profile",
            )


def _backends(
    wanted: Gateway | None, services: Sequence[ServicePlan], around: Surroundings
) -> Iterator[Backend]:
    drained = wanted.drained if wanted else ()
    known = {other.name: other for other in around.others}
    also = [name for name in (wanted.also if wanted else ()) if name != around.name]
    if missing := [name for name in also if name not in known]:
        raise Refusal(
            f"Gateway: also names {', '.join(missing)}, which the inventory does not have",
            f"Write names of its hosts: {', '.join(sorted(known)) or 'there is no other'}",
        )
    found: dict[str, list[tuple[ServedElsewhere, BackendServer]]] = {}
    for service in services:
        offer = ServedElsewhere(
            service=service.name,
            model=service.model,
            served=service.served,
            task=service.task,
            adapters=service.adapter_names,
        )
        server = BackendServer(
            name=around.name,
            address="127.0.0.1",
            port=service.port,
            parallel=service.parallel,
            drained=bool({service.name, around.name} & {*drained}),
        )
        found.setdefault(service.name, []).append((offer, server))
    for other in (known[name] for name in dict.fromkeys(also)):
        for offer in other.offers:
            server = _elsewhere(other, drained=bool({offer.service, other.name} & {*drained}))
            found.setdefault(offer.service, []).append((offer, server))
    names = {around.name, *also, *found}
    if unknown := [name for name in drained if name not in names]:
        raise Refusal(
            f"Gateway: drained names {', '.join(unknown)}, which is neither a service nor a machine"
            " of this gateway",
            f"Write one of {', '.join(sorted(names))}",
        )
    owners = {name: name for name in found}
    contexts = {service.name: service.context for service in services}
    for name, copies in sorted(found.items()):
        first, server = copies[0]
        for offer, copy in copies:
            if offer.model != first.model:
                raise Refusal(
                    f"Service {name} is {first.model} on {server.name} and {offer.model} on"
                    f" {copy.name}, and a client of the gateway could not tell which answers",
                    "Give one of them another name",
                )
            if offer.task != first.task:
                raise Refusal(
                    f"Service {name} has task {first.task} on {server.name} and {offer.task} on"
                    f" {copy.name}",
                    "Give both the same task, or one of them another name",
                )
            if offer.adapters != first.adapters:
                raise Refusal(
                    f"Service {name} has the adapters {_some(first.adapters)} on {server.name} and"
                    f" {_some(offer.adapters)} on {copy.name}",
                    "Give both the same adapters, or one of them another name",
                )
        for asked in first.adapters:
            if (owner := owners.setdefault(asked, name)) != name:
                raise Refusal(
                    f"An adapter of service {name} is asked as {asked}, as is service {owner}, and"
                    " a client of the gateway could not tell which answers",
                    "Give the adapter another name",
                )
        yield Backend(
            service=name,
            served=first.served,
            model=first.model,
            task=first.task,
            context=contexts.get(name),
            adapters=first.adapters,
            servers=tuple(server for _, server in copies),
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _elsewhere(other: OtherMachine, *, drained: bool) -> BackendServer:
    return BackendServer(
        name=other.name,
        address=_address(other, "Gateway", "which also names"),
        port=MACHINES,
        machine=other.name,
        drained=drained,
    )


def _address(other: OtherMachine, what: str, which: str) -> str:
    if other.address is None:
        raise Refusal(
            f"{what}: the address of {other.name}, {which}, is not known",
            "Write peer_address beside it in the inventory",
        )
    return other.address


def _keys(wanted: Gateway, backends: Sequence[Backend], around: Surroundings) -> tuple[Key, ...]:
    offers = [offer for other in around.others for offer in other.offers]
    known = {name for offer in offers for name in (offer.service, *offer.adapters)}
    known |= {name for backend in backends for name in backend.names}
    for key in around.keys:
        if unknown := [model for model in key.models or () if model not in known]:
            raise Refusal(
                f"{wanted.keys}: the key of {key.user} names {', '.join(unknown)}, which no machine"
                " serves",
                f"Write names of services: {', '.join(sorted(known)) or 'there are none'}",
            )
    return around.keys
