"""Peers: which machines of a site share their weights, and at which addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from deploys.planning import unit_names
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.weights.plan import PeerServer, Weights, peer_url


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Another machine of the inventory.

    + addresses: addresses it may be reached at; those outside the site's network are ignored
    + models: keys of the models it serves
    """

    name: str
    addresses: tuple[str, ...]
    models: frozenset[str]


def peer_of(site: Site, machine: Machine) -> PeerServer | None:
    """Return where this machine shares its weights, or None if the site does not share them.

    Raise Refusal if it has no address in the network or the port is taken.
    """
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
    if holder is not None and holder != unit_names.PEER:
        raise Refusal(
            f"Port {site.peer_port}, on which weights would be given to the site's other machines,"
            f" is taken by {holder or 'a process'}",
            "Stop that process, or set peer_port of the site to another port",
        )
    return PeerServer(
        address=address,
        port=site.peer_port,
        network=site.peers,
        folder=folder_of(site),
    )


def folder_of(site: Site) -> str:
    """Return the directory with links, by sha256, to every file that a machine shares."""
    return f"{site.data_root}/models/.by-sha256"


def address_in(network: str, addresses: Sequence[str]) -> str | None:
    """Return the first of the addresses in the network, or None."""
    return next((each for each in addresses if _is_in(each, network)), None)


def with_peers(
    weights: Sequence[Weights], peer: PeerServer | None, neighbours: Sequence[Neighbour]
) -> tuple[Weights, ...]:
    """Return the weights, each with the sorted URLs of machines that have it or will have it."""
    if peer is None:
        return tuple(weights)
    return tuple(
        replace(entry, peers=tuple(sorted(set(_peers(entry, peer, neighbours)))))
        for entry in weights
    )


def _peers(entry: Weights, peer: PeerServer, neighbours: Sequence[Neighbour]) -> Iterator[str]:
    for neighbour in neighbours:
        address = address_in(peer.network, neighbour.addresses)
        if entry.model in neighbour.models and address not in (None, peer.address):
            yield peer_url(str(address), peer.port)


def unreachable(
    peer: PeerServer | None, weights: Sequence[Weights], neighbours: Sequence[Neighbour]
) -> Iterator[str]:
    """Yield a warning for every neighbour that could share weights but has no known address."""
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
