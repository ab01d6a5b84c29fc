"""What a machine talks to others by: its network interfaces and RDMA devices, as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Interface:
    """One network interface that has an address.

    + addresses: without those that lead nowhere else (loopback, link-local)
    + mtu: bytes of a packet; speed: megabits per second, None where the kernel does not say
    """

    name: str
    addresses: tuple[str, ...]
    mtu: int | None = None
    speed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hca:
    """One port of an RDMA device.

    + name: device and port, mlx5_0:1
    + layer: InfiniBand, or Ethernet, on which RDMA is RoCE
    + active: it has a link
    + gigabits: per second; None where the kernel does not say
    + interfaces: network interfaces of the device
    """

    name: str
    layer: str
    active: bool
    gigabits: int | None = None
    interfaces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fabric:
    """All of them.

    + peer_memory: the module nvidia_peermem is loaded, by which RDMA devices reach GPU memory
    """

    interfaces: tuple[Interface, ...] = ()
    hcas: tuple[Hca, ...] = ()
    peer_memory: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fabric:
        """Return what `remote/facts/network.py` reports."""
        interfaces = [
            Interface(**{**each, "addresses": tuple(each["addresses"])})
            for each in data.get("interfaces", ())
        ]
        hcas = [
            Hca(**{**each, "interfaces": tuple(each["interfaces"])})
            for each in data.get("hcas", ())
        ]
        return cls(
            interfaces=tuple(interfaces),
            hcas=tuple(hcas),
            peer_memory=bool(data.get("peer_memory")),
        )

    def interface_of(self, address: str) -> Interface | None:
        """Return the interface with an address."""
        return next((each for each in self.interfaces if address in each.addresses), None)

    @property
    def fastest(self) -> tuple[Hca, ...]:
        """The ports that carry data between GPUs: the fastest that have a link, of one kind.

        A machine may have a slower one beside them, for its storage; InfiniBand is preferred.
        """
        active = [each for each in self.hcas if each.active]
        if not active:
            return ()
        best = max((each.gigabits or 0, each.layer == "InfiniBand") for each in active)
        return tuple(
            each for each in active if (each.gigabits or 0, each.layer == "InfiniBand") == best
        )
