"""What a machine is: the typed form of what deploys/facts/machine.py reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Isa = Literal["x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One accelerator as the PCI bus shows it, driver or no driver.

    + address: PCI address, 0000:18:00.0
    + pci_id: vendor:device, lower case hex, 10de:2330
    """

    address: str
    pci_id: str


@dataclass(frozen=True, kw_only=True)
class Disk:
    """One mounted file system; sizes in bytes."""

    mount: str
    kind: str
    total: int
    free: int


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One host as it is now; sizes in bytes.

    + cores: physical cores this machine may use
    + ports: listening TCP ports and who holds them: a unit name, else a process name, else ""
    + stored: bytes that already lie in each model's folder below the data root
    + systemd: a booted machine, not a tree that is being made into an image
    """

    hostname: str
    os: str
    os_version: str
    architecture: str
    kernel: str
    cpu: str
    isa: Isa
    cores: int
    numa_nodes: int
    memory: int
    disks: tuple[Disk, ...]
    gpus: tuple[Gpu, ...]
    ports: dict[int, str]
    systemd: bool
    python: str
    stored: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Machine:
        """The machine that `remote/machine.py` printed."""
        return cls(
            **{
                **data,
                "disks": tuple(Disk(**disk) for disk in data["disks"]),
                "gpus": tuple(Gpu(**gpu) for gpu in data["gpus"]),
                "ports": {int(port): owner for port, owner in data["ports"].items()},
            }
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def disk_of(self, path: str) -> Disk | None:
        """The file system that `path` lies on, or would lie on once it exists."""
        holding = [
            disk
            for disk in self.disks
            if path == disk.mount or path.startswith(disk.mount.rstrip("/") + "/")
        ]
        return max(holding, key=lambda disk: len(disk.mount), default=None)
