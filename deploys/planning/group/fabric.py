"""How the machines of a group reach each other: addresses, ports, and what carries the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

from deploys.planning.driver.plan import DriverPlan
from deploys.planning.engines.registry import ENGINES
from deploys.planning.group.choice import HostGroup, repeated
from deploys.planning.group.members import HostOfClass
from deploys.planning.group.plan import GroupNode, GroupPlan, Links
from deploys.planning.group.share import holds
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.hardware.software_stacks import parsed
from deploys.planning.inputs.fabric import Hca
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.placement.choice import Placement
from deploys.planning.weights.peers import address_in

# From the port of the service: where the head counts who is there, where cards meet to measure what
# is between them, and where the engine's processes do.
_COUNTS, _GATE, _MEETS = 1, 2, 3
# Of what its network devices could carry, what a machine's cards have to reach: it finds what is
# wrong, such as sockets where RDMA should be, and not what could be better.
_FLOOR = 0.05
# Since then a kernel shares GPU memory with RDMA devices by itself, if the driver's module is the
# open one. Source: NVIDIA, GPUDirect RDMA documentation; NCCL, src/transport/net_ib.cc.
_DMA_BUF = "5.12"


def plan_of(
    group: HostGroup,
    site: Site,
    placement: Placement,
    gpu: Accelerator | None,
    driver: DriverPlan | None,
    unit: str,
) -> GroupPlan:
    """Return what a machine has to know of its group; raise Refusal for what cannot work.

    + placement: with the cards of all its machines
    + unit: of systemd, which may hold the ports already
    """
    service = group.service
    addresses = [
        _address(service.name, member, machine, site)
        for member, machine in zip(group.members, group.machines, strict=True)
    ]
    if again := repeated(addresses):
        names = [
            member.name
            for member, address in zip(group.members, addresses, strict=True)
            if address == again[0]
        ]
        raise Refusal(
            f"Service {service.name}: {' and '.join(names)} both have the address {again[0]}",
            "Write the address of each as fabric_address beside it in the inventory",
        )
    meeting = service.port + _MEETS
    taken = tuple(meeting + offset for offset in ENGINES[service.engine].meeting_ports)
    counting, gate = service.port + _COUNTS, service.port + _GATE
    for refusal in _ports(group, site, (counting, gate, *taken), unit):
        raise refusal
    me, machine = group.members[group.rank], group.machines[group.rank]
    found = machine.fabric.interface_of(addresses[group.rank])
    if found is None:
        raise Refusal(
            f"Service {service.name}: no network interface of {me.name} has the address"
            f" {addresses[group.rank]}",
            "Give it that address, or write another fabric_address beside it in the inventory",
        )
    hcas = rdma(machine, gpu)
    held = [holds(placement, rank) for rank in range(service.machines)]
    return GroupPlan(
        rank=group.rank,
        nodes=tuple(
            GroupNode(name=member.name, address=address, cards=cards, weights=weights)
            for member, address, (cards, weights) in zip(
                group.members, addresses, held, strict=True
            )
        ),
        port=counting,
        gate=gate,
        floor=_floor(hcas),
        meeting=meeting,
        engine_ports=tuple(port for port in taken if port != meeting),
        interface=found.name,
        mtu=found.mtu,
        links=links(machine, gpu),
        hcas=tuple(hca.name for hca in hcas),
        gigabits=hcas[0].gigabits if hcas else None,
        peer_memory=_peer_memory(machine, driver) if hcas else "",
    )


def rdma(machine: Machine, gpu: Accelerator | None) -> tuple[Hca, ...]:
    """Return the RDMA devices that carry data between cards; without cards none does."""
    return machine.fabric.fastest if gpu is not None else ()


def links(machine: Machine, gpu: Accelerator | None) -> Links:
    """Return what carries the data."""
    found = rdma(machine, gpu)
    if not found:
        return "sockets"
    return "InfiniBand" if found[0].layer == "InfiniBand" else "RoCE"


def warnings(service: str, plan: GroupPlan, gpu: Accelerator | None) -> Iterator[str]:
    """Yield what makes the network between the machines slower than it could be."""
    if gpu is None:
        return
    if plan.links == "sockets":
        yield (
            f"Service {service}: no RDMA device of this machine has a link, so the cards of its"
            " machines talk through TCP"
        )
    elif not plan.peer_memory:
        yield (
            f"Service {service}: its RDMA devices do not reach the memory of the cards, as the"
            " driver's module is not the open one and nvidia_peermem is not loaded"
        )


def _address(service: str, member: HostOfClass, machine: Machine, site: Site) -> str:
    network, own = site.fabric or site.peers, machine.addresses
    if member.address is not None:
        try:
            inside = network is None or ip_address(member.address) in ip_network(network)
        except ValueError:
            raise Refusal(
                f"Service {service}: fabric_address of {member.name} is {member.address!r}, which"
                " is no IP address",
                "Write one such as 10.9.0.11 beside it in the inventory",
            ) from None
        if not inside:
            raise Refusal(
                f"Service {service}: fabric_address {member.address} of {member.name} is not in"
                f" {network}, where machines that serve a model together talk",
                "Write another one beside it in the inventory, or set fabric of the site to the"
                " network that has it",
            )
        if own and member.address not in own:
            raise Refusal(
                f"Service {service}: {member.name} does not have the address {member.address};"
                f" it has {', '.join(own)}",
                "Write one of these as fabric_address beside it in the inventory",
            )
        return member.address
    found = address_in(network, own) if network else None
    if found is None:
        where = f"in {network}" if network else "to serve it with others: the site has no fabric"
        raise Refusal(
            f"Service {service}: {member.name} has no address {where}; it has"
            f" {', '.join(own) or 'none'}",
            "Set fabric of the site to the network between the machines, or write fabric_address"
            " beside each in the inventory",
        )
    return found


def _ports(group: HostGroup, site: Site, wanted: tuple[int, ...], unit: str) -> Iterator[Refusal]:
    service, head, machine = group.service, group.members[0], group.machines[0]
    beyond = max(wanted) - 65535
    if beyond > 0:
        yield Refusal(
            f"Service {service.name}: its machines talk on ports up to {max(wanted)}, as its own is"
            f" {service.port}, and there are 65535",
            f"Give it port {service.port - beyond} or a smaller one",
        )
    for port in wanted:
        owner = machine.ports.get(port)
        if port == site.peer_port and site.peers:
            owner = "peer_port of the site"
        if owner is not None and owner != unit:
            yield Refusal(
                f"Service {service.name}: port {port} of {head.name}, on which its machines talk,"
                f" is taken by {owner or 'a process'}",
                "Stop that process, or give the service another port",
            )


def _floor(hcas: Sequence[Hca]) -> float | None:
    """Return GB/s; None where the kernel does not say how fast the devices are."""
    gigabits = sum(hca.gigabits or 0 for hca in hcas)
    return float(f"{_FLOOR * gigabits / 8:.2g}") or None


def _peer_memory(machine: Machine, driver: DriverPlan | None) -> str:
    if machine.fabric.peer_memory:
        return "nvidia_peermem"
    is_open = driver is not None and driver.flavour == "open"
    return "DMA-BUF" if is_open and parsed(machine.kernel) >= parsed(_DMA_BUF) else ""
