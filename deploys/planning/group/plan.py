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
    + cards: of the model, on this machine
    """

    name: str
    address: str
    cards: int


@dataclass(frozen=True, kw_only=True)
class GroupPlan:
    """What one machine of a group has to know of it.

    + rank: of this machine; 0 is the head, which alone answers
    + nodes: all machines, in the order of their ranks
    + port: TCP port on which the head counts who is there, before it starts anything
    + meeting: TCP port of the head on which the engine's processes find each other
    + others: TCP ports of the head that the engine takes by this number, too
    + interface: network interface of this machine that has its address
    + links: what carries the data between the machines
    + hcas: RDMA devices of this machine for that, each with its port: mlx5_0:1
    """

    rank: int
    nodes: tuple[GroupNode, ...]
    port: int
    meeting: int
    others: tuple[int, ...] = ()
    interface: str
    links: Links
    hcas: tuple[str, ...] = ()

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
