"""Which machines of a site give each other their weights, and where they do it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.plan import Peer, Weights, peer_url

UNIT = "modelrack-peer.service"


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Another machine of the inventory.

    + addresses: by which it may be reached; those outside the site's network do not count
    + models: keys of what it serves
    """

    name: str
    addresses: tuple[str, ...]
    models: frozenset[str]


def peer_of(site: Site, machine: Machine) -> Peer | None:
    """Where this machine gives its weights; None where the site does not want that."""
    if site.peers is None:
        return None
    address = address_in(site.peers, machine.addresses)
    if address is None:
        raise Refusal(
            f"The machine has no address in {site.peers}, where this site's machines give each"
            f" other their weights; it has {', '.join(machine.addresses) or 'none'}",
            "Set peers of the site to the network that its machines share, or to None",
        )
    holder = machine.ports.get(site.peer_port)
    if holder is not None and holder != UNIT:
        raise Refusal(
            f"Port {site.peer_port}, on which weights would be given to the site's other machines,"
            f" is taken by {holder or 'a process'}",
            "Stop that process, or set peer_port of the site to another port",
        )
    return Peer(
        address=address,
        port=site.peer_port,
        network=site.peers,
        folder=folder_of(site),
    )


def folder_of(site: Site) -> str:
    """Where links to everything that a machine gives lie, by sha256."""
    return f"{site.data_root}/models/.by-sha256"


def address_in(network: str, addresses: Sequence[str]) -> str | None:
    """The first of the addresses that is in the network."""
    return next((each for each in addresses if _is_in(each, network)), None)


def with_peers(
    weights: Sequence[Weights], peer: Peer | None, neighbours: Sequence[Neighbour]
) -> tuple[Weights, ...]:
    """The weights, each with the machines that have it or are to have it, in one order for all."""
    if peer is None:
        return tuple(weights)
    return tuple(
        replace(entry, peers=tuple(sorted(set(_peers(entry, peer, neighbours)))))
        for entry in weights
    )


def _peers(entry: Weights, peer: Peer, neighbours: Sequence[Neighbour]) -> Iterator[str]:
    for neighbour in neighbours:
        address = address_in(peer.network, neighbour.addresses)
        if entry.model in neighbour.models and address not in (None, peer.address):
            yield peer_url(str(address), peer.port)


def unreachable(
    peer: Peer | None, weights: Sequence[Weights], neighbours: Sequence[Neighbour]
) -> Iterator[str]:
    """A warning for every neighbour that could share, if its address were known."""
    wanted = {entry.model for entry in weights}
    for neighbour in neighbours if peer else ():
        known = peer and address_in(peer.network, neighbour.addresses)
        if wanted & neighbour.models and peer and not known:
            found = ", ".join(neighbour.addresses) or "nothing"
            yield (
                f"No weights are taken from {neighbour.name}: its address in {peer.network} is not"
                f" known (its name leads to {found}); write peer_address beside it in the inventory"
            )


def _is_in(address: str, network: str) -> bool:
    try:
        return ip_address(address) in ip_network(network)
    except ValueError:
        return False
