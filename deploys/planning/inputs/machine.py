"""The state of a machine: the typed form of what deploys/facts/machine.py reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from deploys.planning.inputs.fabric import Fabric

Isa = Literal["x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64", "unknown"]
# Distributions that are rebuilds of RHEL, and RHEL itself.
RHEL_LIKE = frozenset({"rhel", "rocky", "almalinux", "centos", "ol"})


@dataclass(frozen=True, kw_only=True)
class Node:
    """One NUMA node: processors, and the memory that they reach soonest.

    + index: as the kernel counts them
    + cores: physical cores of it that this machine may use
    + memory: bytes
    """

    index: int
    cores: int
    memory: int


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One accelerator: what the PCI bus shows, and what its driver adds once there is one.

    + address: PCI address, 0000:18:00.0
    + pci_id: vendor:device, lower case hex, 10de:2330
    + numa: NUMA node it is attached to, None if the bus does not say
    + lanes, lanes_max: PCIe lanes in use and possible; idle cards may lower their link speed, but
      not these. In a virtual machine they may mean nothing
    + subsystem: vendor:device of the board, or of the slice of one that a virtual machine was given
    + functions: virtual functions that it is divided into, for virtual machines
    + driver: kernel module bound to it: nvidia, nouveau, vfio-pci, amdgpu; "" for none
    + index .. remap_pending: from the driver's own tool (nvidia-smi, amd-smi, npu-smi), if any; a
      card without an index is not listed by this tool: no driver, or fallen off the bus
    + memory, used: bytes, as the driver counts them
    + broken: what stands in place of its answers, such as "GPU is lost"; "" if it answers
    + uncorrected: uncorrected ECC errors since the driver was loaded
    + remap_pending: memory rows wait for a reset to be remapped
    """

    address: str
    pci_id: str
    numa: int | None = None
    lanes: int | None = None
    lanes_max: int | None = None
    subsystem: str = ""
    functions: int | None = None
    driver: str = ""
    index: int | None = None
    name: str | None = None
    broken: str = ""
    uuid: str | None = None
    memory: int | None = None
    used: int | None = None
    compute: str | None = None
    ecc: bool | None = None
    mig: bool | None = None
    persistence: bool | None = None
    uncorrected: int | None = None
    remap_pending: bool | None = None


@dataclass(frozen=True, kw_only=True)
class GpuLink:
    """The link between two cards of a machine, given by their driver's index.

    + kind: as `nvidia-smi topo -m` prints it: NV18, NV4, PIX, PXB, PHB, NODE, SYS; XGMI or PCIE
      from amd-smi, HCCS and the like from npu-smi
    """

    first: int
    second: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One installed kernel.

    + release: as `uname -r` prints it
    + headers: the headers that a module is compiled against are installed
    + module: version of the NVIDIA or AMD module built for it, None if there is none; only looked
      for if the bus shows such a card. The amdgpu module of the kernel itself has no version
    + signed: the module is signed, by whatever key
    """

    release: str
    headers: bool
    module: str | None = None
    signed: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A process that has a GPU open, including daemons of the driver such as nvidia-persistenced.

    Other users' processes are visible only to root.

    + unit: systemd unit it belongs to, "" for none
    """

    pid: int
    name: str
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """The GPU driver of a machine: loaded module, user space, fabric manager and packages.

    + loaded: version that the running kernel has loaded, None for none
    + flavour: of the loaded module: "open" or "proprietary"
    + userspace: version of the library that programs load (libnvidia-ml)
    + fabric_manager: version of the installed fabric manager without the package's epoch and
      revision, so that it compares with `loaded`; None for none
    + fabric_manager_active: its service is running
    + packages: installed packages of the driver, the toolkit and related tools, with versions
    + held: those of them that the package manager must not change: dpkg's hold, dnf's versionlock
    + kfd: AMD's compute device /dev/kfd exists; None if there is no such card
    + toolkit: version of CANN's toolkit; None for none, or if there is no Ascend card
    + error: what the driver's own tool printed when it failed or about a faulty card; "" if all is
      well, and also if there is no such tool
    """

    loaded: str | None = None
    flavour: str | None = None
    userspace: str | None = None
    fabric_manager: str | None = None
    fabric_manager_active: bool = False
    packages: dict[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    kfd: bool | None = None
    toolkit: str | None = None
    error: str = ""

    @property
    def is_grid(self) -> bool:
        """Whether it is one that NVIDIA licenses for virtual machines or their hosts (GRID)."""
        return any(name.startswith(("nvidia-linux-grid", "nvidia-vgpu")) for name in self.packages)


@dataclass(frozen=True, kw_only=True)
class Disk:
    """One mounted file system; sizes in bytes.

    + inodes: free inodes, None if the file system does not count them
    """

    mount: str
    kind: str
    total: int
    free: int
    inodes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Bare:
    """A machine without Python, on which no program of ours runs: what its shell says.

    + os, os_version: as /etc/os-release has them
    + managers: those of apt-get and dnf that are there
    + python: what the python3 that is there calls itself, "" where there is none
    + user: whom commands run as there
    """

    os: str
    os_version: str
    managers: tuple[str, ...]
    python: str
    user: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One host as it is now; sizes in bytes.

    + features: instruction sets beyond the level that engines ask for: avx512_bf16, amx_tile, ...
    + cores: physical cores this machine may use
    + numa_nodes: how many there are with processors; nodes: each of them, () where nothing says
    + memory, memory_available: all of it, and what a new process could take now
    + links: how the GPUs reach each other, from the driver
    + nvswitches: NVSwitch bridges on the PCI bus, so known without a driver; HGX B200 and later
      show none there
    + kernels: installed ones, the running one among them
    + secure_boot: the kernel refuses unsigned modules; None where there is no UEFI
    + nouveau: the kernel's own NVIDIA driver is loaded
    + nouveau_in_initramfs: it would be at the next boot: an installed kernel has it, and nothing
      forbids it or its initramfs is older than what does
    + xids, application_xids: lines of the kernel log since boot that report an error of a GPU or
      NVSwitch, and of a program on it, 50 of each at most; empty, too, where we may not read it
    + holders: processes that have a GPU open
    + addresses: its IP addresses, without those that lead nowhere else (loopback, link-local)
    + fabric: its network interfaces and RDMA devices
    + ports: listening TCP ports and who holds them: a unit name, else a process name, else ""
    + ssh_ports: TCP ports that sshd answers on
    + operator: address that this run's SSH connection comes from, None for another connection
    + served: units of model servers that an earlier run has set up, and that are enabled or run
    + given: cards that it has given to these, by their driver's index
    + kernel_packages: those that bring each new kernel of a kind: linux-image-generic
    + broken_packages: left half installed by an interrupted dpkg
    + stored: bytes that already lie in each model's folder below the data root
    + systemd: systemd runs there, as it does not in most containers, nor in the tree of an image
    + booted: not a tree that is being made into an image
    + container: what made it (docker, lxc), where the kernel is another machine's; "" for a machine
    + user: whom commands run as there; only root may change anything
    + own_key: SHA-256 of the key that a unit of an appliance has made for itself
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
    features: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    memory_available: int | None = None
    links: tuple[GpuLink, ...] = ()
    nvswitches: int = 0
    kernels: tuple[Kernel, ...] = ()
    secure_boot: bool | None = None
    nouveau: bool = False
    nouveau_in_initramfs: bool = False
    driver: Driver = Driver()
    xids: tuple[str, ...] = ()
    application_xids: tuple[str, ...] = ()
    holders: tuple[Holder, ...] = ()
    served: tuple[str, ...] = ()
    given: tuple[int, ...] = ()
    kernel_packages: tuple[str, ...] = ()
    broken_packages: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    fabric: Fabric = field(default_factory=Fabric)
    ssh_ports: tuple[int, ...] = ()
    operator: str | None = None
    stored: dict[str, int] = field(default_factory=dict)
    user: str = "root"
    booted: bool = True
    container: str = ""
    own_key: str | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Machine:
        """Return the machine that `remote/facts/machine.py` printed."""
        driver = data.get("driver", {})
        return cls(
            **{
                **data,
                "disks": tuple(Disk(**disk) for disk in data["disks"]),
                "gpus": tuple(Gpu(**gpu) for gpu in data["gpus"]),
                "nodes": tuple(Node(**node) for node in data.get("nodes", ())),
                "links": tuple(GpuLink(**link) for link in data.get("links", ())),
                "kernels": tuple(Kernel(**kernel) for kernel in data.get("kernels", ())),
                "holders": tuple(Holder(**holder) for holder in data.get("holders", ())),
                "driver": Driver(**{**driver, "held": tuple(driver.get("held", ()))}),
                "features": tuple(data.get("features", ())),
                "xids": tuple(data.get("xids", ())),
                "application_xids": tuple(data.get("application_xids", ())),
                "addresses": tuple(data.get("addresses", ())),
                "fabric": Fabric.from_json(data.get("fabric", {})),
                "ssh_ports": tuple(data.get("ssh_ports", ())),
                "served": tuple(data.get("served", ())),
                "given": tuple(data.get("given", ())),
                "kernel_packages": tuple(data.get("kernel_packages", ())),
                "broken_packages": tuple(data.get("broken_packages", ())),
                "ports": {int(port): owner for port, owner in data["ports"].items()},
            }
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def disk_of(self, path: str) -> Disk | None:
        """Return the file system that `path` is on, or will be on once it exists."""
        holding = [disk for disk in self.disks if PurePosixPath(path).is_relative_to(disk.mount)]
        return max(holding, key=lambda disk: len(disk.mount), default=None)
