"""The group of machines that serve one model together, as one of them sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Links = Literal["InfiniBand", "RoCE", "sockets"]


@dataclass(frozen=True, kw_only=True)
class GroupNode:
    """One machine of a group.

    + name: in the inventory
    + address: where the others reach it
    + cards: that it has for the model; weights: bytes of them there
    """

    name: str
    address: str
    cards: int
    weights: int


@dataclass(frozen=True, kw_only=True)
class GroupPlan:
    """What one machine of a group has to know of it.

    + rank: of this machine; 0 is the head, which alone answers
    + nodes: all machines, in the order of their ranks
    + port: TCP port on which the head counts who is there, before it starts anything
    + gate: TCP port of the head on which cards meet to measure what is between them
    + floor: GB/s that each card has to reach there; None for no opinion
    + meeting: TCP port of the head on which the engine's processes find each other
    + engine_ports: TCP ports of the head that the engine takes beside it
    + interface: network interface of this machine that has its address; mtu: bytes of its packets
    + links: what carries the data between the machines
    + hcas: RDMA devices of this machine for that, each with its port: mlx5_0:1
    + gigabits: per second, of each of them; None where the kernel does not say
    + peer_memory: how they reach the memory of GPUs: "nvidia_peermem", "DMA-BUF", "" for not at all
    """

    rank: int
    nodes: tuple[GroupNode, ...]
    port: int
    gate: int
    floor: float | None = None
    meeting: int
    engine_ports: tuple[int, ...] = ()
    interface: str
    mtu: int | None = None
    links: Links
    hcas: tuple[str, ...] = ()
    gigabits: int | None = None
    peer_memory: str = ""

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports of the head that its machines meet at."""
        return (self.port, self.gate, self.meeting, *self.engine_ports)

    @property
    def is_head(self) -> bool:
        return self.rank == 0

    @property
    def head(self) -> GroupNode:
        return self.nodes[0]

    @property
    def me(self) -> GroupNode:
        return self.nodes[self.rank]

    @property
    def beside(self) -> tuple[GroupNode, ...]:
        """The other machines."""
        return tuple(node for node in self.nodes if node is not self.me)
