"""The table of host classes: one machine of each, as the facts program would print it.

Inventories, plans, the lab and the tests take a class from here, by the name of its inventory.

PCI addresses of h800 and rtx4090, the NVLink pair of rtx3090, and the drivers of rtx3090, rtx4090
and h200 are those of recorded machines; the rest is what such a machine usually has. The others are
bare: no driver was ever installed. What a card is called and the links of its board are recorded
for h800, h200, rtx4090 and rtx3090; those of the others are what such boards usually print.
"""

from __future__ import annotations

from typing import Any

from tests.plans.host_class import HostClass, host_class

_GIB = 1 << 30
_TIB = 1 << 40


_NOBLE = ("ubuntu", "24.04", "6.8.0-87-generic", "3.12.3")
_BOOKWORM = ("debian", "12", "6.1.0-41-amd64", "3.11.2")

_ALL = (
    host_class(
        "h800",
        product="NVIDIA H800",
        nvlink="NV8",
        cpu="Intel(R) Xeon(R) Platinum 8468",
        cores=96,
        numa_nodes=2,
        memory=2014 * _GIB,
        root=1843 * _GIB,
        data=14 * _TIB,
        gpu="10de:2324",
        slots="18 3a 4b 5c 84 ac b3 b9",
        nvswitches=4,
    ),
    host_class(
        "h20",
        product="NVIDIA H20",
        nvlink="NV18",
        cpu="Intel(R) Xeon(R) Platinum 8468",
        cores=96,
        numa_nodes=2,
        memory=2014 * _GIB,
        root=879 * _GIB,
        data=14 * _TIB,
        gpu="10de:2329",
        slots="0f 34 48 5a 87 ae c2 d7",
        nvswitches=4,
    ),
    host_class(
        "h200",
        product="NVIDIA H200",
        nvlink="NV18",
        cpu="Intel(R) Xeon(R) Platinum 8558",
        cores=96,
        numa_nodes=2,
        memory=2014 * _GIB,
        root=879 * _GIB,
        data=28 * _TIB,
        gpu="10de:2335",
        slots="19 3b 4c 5d 9b bb cb db",
        nvswitches=4,
        driver="580.159.04",
        flavour="open",
        card=(143_771, "9.0"),
        system=_NOBLE,
    ),
    host_class(
        "a100",
        product="NVIDIA A100 80GB PCIe",
        cpu="AMD EPYC 7543 32-Core Processor",
        cores=64,
        numa_nodes=2,
        memory=503 * _GIB,
        root=439 * _GIB,
        data=7 * _TIB,
        gpu="10de:20b5",
        slots="41 c1",
        isa="x86-64-v3",
    ),
    host_class(
        "v100",
        product="Tesla V100-SXM2-32GB",
        cpu="Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz",
        cores=40,
        numa_nodes=2,
        memory=376 * _GIB,
        root=439 * _GIB,
        data=2 * _TIB,
        gpu="10de:1db5",
        slots="3d b1",
    ),
    host_class(
        "rtx4090",
        product="NVIDIA GeForce RTX 4090",
        cpu="Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz",
        cores=56,
        numa_nodes=2,
        memory=503 * _GIB,
        root=879 * _GIB,
        data=7 * _TIB,
        gpu="10de:2684",
        slots="1a 1b 1c 1d 9a 9b 9c 9d",
        driver="550.78",
        card=(24_564, "8.9"),
    ),
    host_class(
        "rtx5090",
        product="NVIDIA GeForce RTX 5090",
        cpu="AMD EPYC 9354 32-Core Processor",
        cores=64,
        numa_nodes=2,
        memory=755 * _GIB,
        root=879 * _GIB,
        data=7 * _TIB,
        gpu="10de:2b85",
        slots="01 21 41 61 81 a1 c1 e1",
        system=_NOBLE,
    ),
    host_class(
        "rtx3090",
        product="NVIDIA GeForce RTX 3090",
        nvlink="NV4",
        cpu="AMD Ryzen 9 5900X 12-Core Processor",
        cores=12,
        numa_nodes=1,
        memory=125 * _GIB,
        root=1831 * _GIB,
        data=0,
        gpu="10de:2204",
        slots="09 0a",
        driver="560.35.05",
        card=(24_576, "8.6"),
        isa="x86-64-v3",
    ),
    host_class(
        "rtx6000ada",
        product="NVIDIA RTX 6000 Ada Generation",
        cpu="Intel(R) Xeon(R) w9-3475X",
        cores=36,
        numa_nodes=1,
        memory=503 * _GIB,
        root=879 * _GIB,
        data=4 * _TIB,
        gpu="10de:26b1",
        slots="17 2a 65 b3",
    ),
    host_class(
        "l40s",
        product="NVIDIA L40S",
        cpu="Intel(R) Xeon(R) Gold 6430",
        cores=64,
        numa_nodes=2,
        memory=1007 * _GIB,
        root=879 * _GIB,
        data=7 * _TIB,
        gpu="10de:26b9",
        slots="16 27 38 5a 98 a8 c8 d8",
    ),
    host_class(
        "mi300x",
        product="AMD Instinct MI300X",
        cpu="AMD EPYC 9654 96-Core Processor",
        cores=192,
        numa_nodes=2,
        memory=2267 * _GIB,
        root=879 * _GIB,
        data=28 * _TIB,
        gpu="1002:74a1",
        slots="05 26 46 65 85 a6 c6 e5",
    ),
    host_class(
        "ascend910b",
        product="Ascend 910B",
        cpu="Kunpeng-920",
        cores=192,
        numa_nodes=8,
        memory=1510 * _GIB,
        root=879 * _GIB,
        data=7 * _TIB,
        gpu="19e5:d802",
        slots="01 02 41 42 81 82 c1 c2",
        isa="aarch64",
        architecture="aarch64",
    ),
    host_class(
        "cpu",
        cpu="12th Gen Intel(R) Core(TM) i7-12700",
        cores=12,
        numa_nodes=1,
        memory=31 * _GIB,
        root=468 * _GIB,
        data=0,
        isa="x86-64-v3",
        system=_BOOKWORM,
    ),
)

CLASSES: dict[str, HostClass] = {each.facts["hostname"].removesuffix("-01"): each for each in _ALL}
MACHINES: dict[str, dict[str, Any]] = {name: each.facts for name, each in CLASSES.items()}
