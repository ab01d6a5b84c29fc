"""The firewall: which ports of a machine with a gateway other machines may reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from deploys.planning.gateway.plan import HTTPS, MACHINES, REDIRECT, GatewayPlan, MachinePeer
from deploys.planning.group.plan import GroupPlan
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site

# RoCE v2. Source: InfiniBand Architecture Specification, Annex A17.
_ROCE = 4791


@dataclass(frozen=True, kw_only=True)
class Opening:
    """Ports that other machines may reach.

    + name: what answers there
    + ports: of TCP; () is every one
    + udp: of UDP, too
    + sources: networks of either family that may reach them; () is everybody
    """

    name: str
    ports: tuple[int, ...]
    sources: tuple[str, ...] = ()
    udp: tuple[int, ...] = ()

    @property
    def families(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the networks of each family, as nft calls it; one nameless for everybody."""
        if not self.sources:
            yield "", ()
        for family, version in (("ip", 4), ("ip6", 6)):
            if networks := tuple(_merged(self.sources, version)):
                yield family, networks


@dataclass(frozen=True, kw_only=True)
class FirewallPlan:
    """All that other machines may reach; whatever else listens here is for this machine alone."""

    openings: tuple[Opening, ...]


def firewall_of(
    site: Site, machine: Machine, gateway: GatewayPlan | None, group: GroupPlan | None = None
) -> FirewallPlan | None:
    """Return the firewall of a machine whose profile has a gateway; None for any other.

    A machine that only another's gateway names keeps its ports: who asks there has a certificate.

    Raise Refusal if it would shut out who deploys it, or a gateway that asks this one.
    """
    if gateway is None or gateway.host is None:
        return None
    _check_operator(site, machine)
    openings = [Opening(name="gateway", ports=(REDIRECT, HTTPS))]
    if machine.ssh_ports:
        openings.insert(0, Opening(name="SSH", ports=machine.ssh_ports, sources=site.ssh_from))
    if site.peers:
        openings.append(Opening(name="weights", ports=(site.peer_port,), sources=(site.peers,)))
    if gateway.peers:
        sources = (site.machines,) if site.machines else tuple(_addresses(gateway.peers))
        openings.append(Opening(name="other gateways", ports=(MACHINES,), sources=sources))
    if group:
        # An engine's processes choose their ports as they start.
        nodes = tuple(node.address for node in group.beside)
        udp = (_ROCE,) if group.links == "RoCE" else ()
        openings.append(Opening(name="its group", ports=(), sources=nodes, udp=udp))
    return FirewallPlan(openings=tuple(openings))


def _addresses(peers: Sequence[MachinePeer]) -> Iterator[str]:
    for peer in peers:
        if peer.address is None:
            raise Refusal(
                f"The gateway of {peer.name} asks this one, and the firewall cannot let it in: its"
                " address is not known",
                "Write peer_address beside it in the inventory, or set machines of the site to the"
                " network that gateways ask each other in",
            )
        yield peer.address


def _check_operator(site: Site, machine: Machine) -> None:
    if site.ssh_from and machine.operator and not _is_in(machine.operator, site.ssh_from):
        raise Refusal(
            f"This run comes from {machine.operator}, and ssh_from of the site"
            f" ({', '.join(site.ssh_from)}) would keep it out",
            "Add a network that has this address to ssh_from in inventories/group_data, or deploy"
            " from one that is in it",
        )


def _is_in(address: str, networks: Iterable[str]) -> bool:
    found = ipaddress.ip_address(address)
    return any(found in ipaddress.ip_network(network) for network in networks)


def _merged(networks: Iterable[str], version: int) -> Iterator[str]:
    """Yield the networks of a family without those inside others, which nft takes for a mistake."""
    of_family = [
        network for each in networks if (network := ipaddress.ip_network(each)).version == version
    ]
    # mypy knows no collapse of a list that could hold either family.
    yield from map(str, ipaddress.collapse_addresses(of_family))  # type: ignore[type-var]
