"""The hardware table: known accelerators by PCI id, identified before a driver is installed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from deploys.planning.inputs.refusal import Refusal

Vendor = Literal["nvidia", "amd", "huawei", "hygon"]
Generation = Literal["volta", "ampere", "ada", "hopper", "blackwell", "cdna3", "ascend", "dcu"]


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One kind of accelerator.

    + name: as host profiles and plans write it
    + generation: what its kernels are compiled for; selects drivers and engines
      (software_stacks.py)
    + pci_ids: vendor:device in lower case hex, every variant that is equivalent here
    + memory: bytes that software can use, as the driver reports them
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
    compute: str
    bandwidth: float
    link: str
    link_bandwidth: float | None
    p2p: bool
    fp8: bool
    fp4: bool
    source: str


def by_pci_id(pci_id: str) -> Accelerator | None:
    """Return the accelerator with a PCI id, or None if it is not known."""
    return _BY_PCI_ID.get(pci_id)


def named(name: str) -> Accelerator:
    """Return the accelerator of this name; raise Refusal, with the known names, without one."""
    if name not in ACCELERATORS:
        close = difflib.get_close_matches(name, ACCELERATORS, n=1, cutoff=0.5)
        raise Refusal(
            f"There is no GPU {name!r} in the hardware table"
            + (f", did you mean {close[0]!r}" if close else ""),
            f"Write one of {', '.join(ACCELERATORS)}, or add it to"
            " deploys/planning/hardware/gpus.py",
        )
    return ACCELERATORS[name]


# Compute capability and generation. Source: NVIDIA, CUDA GPU compute capability.
_GENERATIONS: dict[str, Generation] = {
    "7.0": "volta",
    "8.0": "ampere",
    "8.6": "ampere",
    "8.9": "ada",
    "9.0": "hopper",
    "10.0": "blackwell",
    "12.0": "blackwell",
}


def _nvidia(
    name: str,
    pci_ids: str,
    mebibytes: int,
    compute: str,
    gigabytes_per_second: int,
    link: str,
    memory_source: str,
    nvlink: int | None = None,
) -> Accelerator:
    return Accelerator(
        name=name,
        vendor="nvidia",
        generation=_GENERATIONS[compute],
        pci_ids=tuple(f"10de:{pci_id}" for pci_id in pci_ids.split()),
        memory=mebibytes << 20,
        compute=compute,
        bandwidth=gigabytes_per_second * 1e9,
        link=link,
        link_bandwidth=nvlink * 1e9 if nvlink else None,
        p2p=name not in _GEFORCE,
        fp8=float(compute) >= 8.9,
        fp4=float(compute) >= 10.0,
        source="id: pci.ids of 2026-08-22; bandwidth, NVLink: NVIDIA data sheet;"
        f" memory: {memory_source}",
    )


# Source: NVIDIA's forum and open-gpu-kernel-modules, P2P of these boards is off in the driver; the
# RTX 3090 has its NVLink bridge instead.
_GEFORCE = {"RTX 3090", "RTX 4090", "RTX 4090 D", "RTX 5090"}

# Memory in MiB, bandwidth and NVLink in GB/s. "smi" is the total that nvidia-smi prints; where
# driver versions differ, the smallest. Boards in PCIe form are entries of their own: they have no
# NVSwitch, so no fabric manager, and an NVLink bridge is an option that the PCI id does not show.
_KNOWN = (
    _nvidia("V100", "1db5 1db6", 32510, "7.0", 900, "pcie", "smi; NVLink on SXM2 only"),
    _nvidia("V100-16", "1db1 1db4 1df5", 16130, "7.0", 900, "pcie", "smi; NVLink on SXM2 only"),
    _nvidia("V100S", "1df6", 32510, "7.0", 1134, "pcie", "smi of the V100"),
    _nvidia("A100", "20b2", 81251, "8.0", 2039, "nvswitch", "smi; SXM4 80 GB", 600),
    _nvidia("A100-40", "20b0", 40536, "8.0", 1555, "nvswitch", "smi; SXM4 40 GB", 600),
    _nvidia("A100 PCIe", "20b5", 81251, "8.0", 1935, "pcie", "smi of the SXM4 board"),
    _nvidia("A100 PCIe-40", "20b1 20f1", 40536, "8.0", 1555, "pcie", "smi; 40 GB"),
    _nvidia("A800", "20f3", 81251, "8.0", 2039, "nvswitch", "smi; SXM4 80 GB", 400),
    _nvidia("A800 PCIe", "20f5", 81251, "8.0", 1935, "pcie", "smi of the SXM4 board"),
    _nvidia("RTX 3090", "2204", 24576, "8.6", 936, "nvlink-pair", "recorded smi", 112),
    _nvidia("RTX A6000", "2230", 49140, "8.6", 768, "nvlink-pair", "smi", 112),
    _nvidia("RTX 4090", "2684", 24564, "8.9", 1008, "pcie", "recorded smi; some have 48 GB"),
    _nvidia("RTX 4090 D", "2685", 24564, "8.9", 1008, "pcie", "smi of the 4090; some have 48 GB"),
    _nvidia("RTX 6000 Ada", "26b1", 49140, "8.9", 960, "pcie", "smi"),
    _nvidia("L20", "26ba 26b7", 46068, "8.9", 864, "pcie", "smi with ECC on"),
    _nvidia("L40S", "26b9", 46068, "8.9", 864, "pcie", "smi with ECC on"),
    _nvidia("H20", "2329", 97871, "9.0", 4000, "nvswitch", "smi; 96 GB", 900),
    _nvidia("H20-141", "232c", 143771, "9.0", 4800, "nvswitch", "smi of the H20-3e", 900),
    _nvidia("H100", "2330", 81559, "9.0", 3350, "nvswitch", "smi of the H800; SXM5 80 GB", 900),
    _nvidia("H100 PCIe", "2331", 81559, "9.0", 2000, "pcie", "smi of the H800"),
    _nvidia("H100 NVL", "2321", 95830, "9.0", 3900, "pcie", "smi; 94 GB"),
    _nvidia("H800", "2324", 81559, "9.0", 3350, "nvswitch", "recorded smi; SXM5 80 GB", 400),
    _nvidia("H800 PCIe", "2322", 81559, "9.0", 2000, "pcie", "smi of the SXM5 board"),
    _nvidia("H200", "2335", 143771, "9.0", 4800, "nvswitch", "recorded smi; SXM5", 900),
    _nvidia("H200 NVL", "233b", 143771, "9.0", 4800, "pcie", "smi"),
    _nvidia("RTX 5090", "2b85", 32607, "12.0", 1792, "pcie", "smi"),
    _nvidia("B200", "2901", 183359, "10.0", 8000, "nvswitch", "smi", 1800),
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
_BY_PCI_ID = {pci_id: known for known in _KNOWN for pci_id in known.pci_ids}
