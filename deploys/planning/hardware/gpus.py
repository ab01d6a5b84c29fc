"""The hardware table: known accelerators by PCI id, identified before a driver is installed."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal, get_args

from deploys.planning.hardware.nvidia_boards import BOARDS, Board
from deploys.planning.inputs.refusal import Refusal

Vendor = Literal["nvidia", "amd", "huawei", "hygon"]
# What programs that are compiled here reach cards through.
GpuApi = Literal["CUDA", "Vulkan"]
# fmt: off
Generation = Literal[
    "volta", "turing", "ampere", "ada", "hopper", "blackwell",
    "cdna3", "rdna3", "rdna3.5", "rdna4",
    "ascend", "dcu",
]
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One kind of accelerator; an inventory may describe one that this table does not have.

    + name: as host profiles and plans write it
    + generation: what its kernels are compiled for; selects drivers and engines
      (software_stacks.py)
    + pci_ids: vendor:device in lower case hex, every variant that is equivalent here
    + memory: bytes that software can use, as the driver reports them
    + shares_host: that memory is the host's, as on GB10; then the host says how much there is
    + compute: CUDA compute capability (NVIDIA), gfx target (AMD), chip name elsewhere
    + bandwidth: memory bandwidth, bytes per second
    + link: interconnect of the cards in one machine: "nvswitch", "nvlink-pair", "pcie", "xgmi",
      "hccs"; the slowest, if variants share a PCI id
    + link_bandwidth: of one card to the others over that link, both directions together, bytes per
      second; None for PCIe, where it depends on the slot
    + p2p: the cards support direct copies over PCIe, which NVIDIA's driver disables on GeForce
      boards
    + fp8, fp4: native arithmetic in that format
    + source: where the figures come from
    """

    name: str
    vendor: Vendor
    generation: Generation
    pci_ids: tuple[str, ...]
    memory: int
    shares_host: bool = False
    compute: str
    bandwidth: float
    link: str = "pcie"
    link_bandwidth: float | None = None
    p2p: bool = True
    fp8: bool = False
    fp4: bool = False
    source: str = "the inventory"


def by_pci_id(pci_id: str, described: Accelerator | None = None) -> Accelerator | None:
    """Return the accelerator with a PCI id, or None if it is not known.

    + described: one that may not be in the table
    """
    if described is not None and pci_id in described.pci_ids:
        return described
    return _BY_PCI_ID.get(pci_id)


def named(name: str | Accelerator) -> Accelerator:
    """Return the accelerator of this name, or the one that an inventory describes.

    Raise Refusal, with the known names, if there is none of this name, and for a description that
    contradicts itself.
    """
    if isinstance(name, Accelerator):
        return _checked(name)
    if name not in ACCELERATORS:
        close = difflib.get_close_matches(name, ACCELERATORS, n=1, cutoff=0.5)
        raise Refusal(
            f"There is no GPU {name!r} in the hardware table"
            + (f", did you mean {close[0]!r}" if close else ""),
            f"Write one of {', '.join(ACCELERATORS)}, or describe it in place of the name:"
            " gpu=Accelerator(name=..., vendor=..., generation=..., pci_ids=(...,), memory=...,"
            " compute=..., bandwidth=...)",
        )
    return ACCELERATORS[name]


def _checked(described: Accelerator) -> Accelerator:
    """Return what an inventory describes; raise Refusal where a figure cannot be meant so."""
    wrong = [
        f"{field} is {getattr(described, field)!r}, which is no {what}"
        for field, right, what in (
            ("vendor", described.vendor in get_args(Vendor), "vendor"),
            ("generation", described.generation in get_args(Generation), "generation"),
            ("pci_ids", _are_ids(described.pci_ids), "tuple of ids such as 10de:2b85"),
            ("memory", 1 << 30 <= described.memory < 1 << 40, "number of bytes of a card"),
            ("bandwidth", 1e10 <= described.bandwidth < 1e14, "number of bytes a second"),
            ("link", described.link in _LINKS, f"link: {', '.join(_LINKS)}"),
        )
        if not right
    ]
    if wrong:
        raise Refusal(
            f"The GPU {described.name!r} that the profile describes cannot be so: {wrong[0]}",
            "Write it as its like in deploys/planning/hardware/nvidia_boards.py or gpus.py",
        )
    return described


def _are_ids(ids: tuple[str, ...]) -> bool:
    return (
        isinstance(ids, tuple)
        and bool(ids)
        and all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", each) for each in ids)
    )


_LINKS = ("nvswitch", "nvlink-pair", "pcie", "xgmi", "hccs")


# Compute capability and generation. Source: NVIDIA, CUDA GPU compute capability.
_GENERATIONS: dict[str, Generation] = {
    "7.0": "volta",
    "7.5": "turing",
    "8.0": "ampere",
    "8.6": "ampere",
    "8.9": "ada",
    "9.0": "hopper",
    "10.0": "blackwell",
    "10.3": "blackwell",
    "12.0": "blackwell",
    "12.1": "blackwell",
}
# Source: NVIDIA's forum and open-gpu-kernel-modules, P2P of these boards is off in the driver; the
# RTX 3090 has its NVLink bridge instead.
_GEFORCE = re.compile(r"GTX \d{4}|RTX \d0\d0(?! Ada).*")


def _nvidia(board: Board) -> Accelerator:
    return Accelerator(
        name=board.name,
        vendor="nvidia",
        generation=_GENERATIONS[board.compute],
        pci_ids=tuple(f"10de:{pci_id}" for pci_id in board.pci_ids.split()),
        memory=board.mebibytes << 20,
        shares_host=board.shares_host,
        compute=board.compute,
        bandwidth=board.bandwidth * 1e9,
        link=board.link,
        link_bandwidth=board.nvlink * 1e9 if board.nvlink else None,
        p2p=_GEFORCE.fullmatch(board.name) is None,
        fp8=float(board.compute) >= 8.9,
        fp4=float(board.compute) >= 10.0,
        source="id: pci.ids of 2026-08-22 and NVIDIA's list of supported GPUs; bandwidth, NVLink:"
        f" NVIDIA data sheet; memory: {board.source}",
    )


def _radeon(
    name: str, pci_ids: str, gigabytes: int, compute: str, gigabytes_per_second: int
) -> Accelerator:
    return Accelerator(
        name=name,
        vendor="amd",
        generation=_RADEON[compute],
        pci_ids=tuple(f"1002:{pci_id}" for pci_id in pci_ids.split()),
        memory=gigabytes << 30,
        shares_host=compute == "gfx1151",
        compute=compute,
        bandwidth=gigabytes_per_second * 1e9,
        fp8=compute == "gfx1201",
        source="id: pci.ids of 2026-08-22; compute: ROCm's list of supported GPUs; bandwidth: AMD"
        " data sheet; memory: nominal",
    )


_RADEON: dict[str, Generation] = {
    "gfx1100": "rdna3",
    "gfx1101": "rdna3",
    "gfx1151": "rdna3.5",
    "gfx1201": "rdna4",
}
_KNOWN = (
    *map(_nvidia, BOARDS),
    _radeon("Radeon PRO W7900", "7448 744a", 48, "gfx1100", 864),
    _radeon("Radeon PRO W7800", "745e", 32, "gfx1100", 576),
    _radeon("Radeon PRO W7800-48", "7449", 48, "gfx1100", 864),
    _radeon("Radeon PRO W7700", "7470", 16, "gfx1101", 576),
    _radeon("Radeon AI PRO R9700", "7551", 32, "gfx1201", 640),
    _radeon("Ryzen AI MAX", "1586", 128, "gfx1151", 256),
    Accelerator(
        name="MI300X",
        vendor="amd",
        generation="cdna3",
        pci_ids=("1002:74a1",),
        memory=206_141_652_992,
        compute="gfx942",
        bandwidth=5.3e12,
        link="xgmi",
        link_bandwidth=896e9,
        p2p=True,
        fp8=True,
        fp4=False,
        source="id: pci.ids of 2026-08-22; bandwidth, Infinity Fabric: AMD data sheet;"
        " memory: rocm-smi",
    ),
    Accelerator(
        name="Ascend 910B",
        vendor="huawei",
        generation="ascend",
        pci_ids=("19e5:d802",),
        memory=65536 << 20,
        compute="Ascend910B",
        bandwidth=1.6e12,
        link="hccs",
        link_bandwidth=392e9,
        p2p=True,
        fp8=False,
        fp4=False,
        source="id: Huawei's log collector, not in pci.ids; memory: npu-smi, 64 GB boards;"
        " bandwidth and HCCS not confirmed, the chip comes in several grades",
    ),
    Accelerator(
        name="K100-AI",
        vendor="hygon",
        generation="dcu",
        pci_ids=("1d94:6210", "1d94:6211"),
        memory=64 << 30,
        compute="gfx928",
        bandwidth=896e9,
        link="pcie",
        link_bandwidth=None,
        p2p=True,
        fp8=False,
        fp4=False,
        source="ids: 6210 in Hygon's installation guide, 6211 in pci.ids; memory: nominal;"
        " compute and bandwidth not confirmed",
    ),
)

ACCELERATORS: dict[str, Accelerator] = {known.name: known for known in _KNOWN}
# The first of those that share one is the usual one.
_BY_PCI_ID = {pci_id: known for known in reversed(_KNOWN) for pci_id in known.pci_ids}
