"""One machine of every host class, as the facts program would print it.

PCI addresses of h800 and rtx4090, the NVLink pair of rtx3090, and the drivers of rtx3090, rtx4090
and h200 are those of recorded machines; the rest is what such a machine usually has. The others are
bare: no driver was ever installed.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

_GIB = 1 << 30
_TIB = 1 << 40


def _machine(
    name: str,
    *,
    cpu: str,
    cores: int,
    numa_nodes: int,
    memory: int,
    root: int,
    data: int,
    gpu: str = "",
    slots: str = "",
    nvswitches: int = 0,
    driver: str = "",
    flavour: str = "proprietary",
    link: str = "",
    card: tuple[str, int, str] = ("", 0, ""),
    isa: str = "x86-64-v4",
    architecture: str = "x86_64",
    system: tuple[str, str, str, str] = ("ubuntu", "22.04", "5.15.0-161-generic", "3.10.12"),
) -> dict[str, Any]:
    """The printed JSON; `slots` are PCI buses, `root` and `data` sizes of ext4 and XFS.

    + driver, flavour: version of the loaded NVIDIA driver and kind of its module, "" for none
    + link: how the driver says that each two cards are linked
    + card: name, MiB and compute capability that the driver reports
    """
    os, os_version, kernel, python = system
    gpus = [
        _gpu(gpu, slot, index, len(slots.split()), numa_nodes)
        for index, slot in enumerate(slots.split())
    ]
    if driver:
        for index, each in enumerate(gpus):
            title, mebibytes, compute = card
            each |= {
                "index": index,
                "name": title,
                "uuid": f"GPU-{index:08x}",
                "memory": mebibytes << 20,
                "used": 0,
                "compute": compute,
                "persistence": False,
                "driver": "nvidia",
            }
    pairs = combinations(range(len(gpus)), 2) if link else ()
    disks = [{"mount": "/", "kind": "ext4", "total": root, "free": root * 9 // 10}]
    if data:
        disks.append({"mount": "/data", "kind": "xfs", "total": data, "free": data * 97 // 100})
    return {
        "hostname": f"{name}-01",
        "os": os,
        "os_version": os_version,
        "architecture": architecture,
        "kernel": kernel,
        "cpu": cpu,
        "isa": isa,
        "cores": cores,
        "numa_nodes": numa_nodes,
        "memory": memory,
        "disks": disks,
        "gpus": gpus,
        "links": [{"first": one, "second": two, "kind": link} for one, two in pairs],
        "nvswitches": nvswitches,
        "kernels": [{"release": kernel, "headers": bool(driver), "module": driver or None}],
        "secure_boot": False,
        "driver": _driver(driver, flavour, bool(nvswitches)) if driver else {},
        "ports": {"22": "ssh.service"},
        "systemd": True,
        "python": python,
    }


def _gpu(pci_id: str, slot: str, index: int, count: int, numa_nodes: int) -> dict[str, Any]:
    numa = index * numa_nodes // count
    return {
        "address": f"0000:{slot}:00.0",
        "pci_id": pci_id,
        "numa": numa,
        "lanes": 16,
        "lanes_max": 16,
    }


def _driver(version: str, flavour: str, fabric: bool) -> dict[str, Any]:
    return {
        "loaded": version,
        "flavour": flavour,
        "userspace": version,
        "fabric_manager": version if fabric else None,
        "fabric_manager_active": fabric,
        "packages": {
            name.format(version.split(".")[0]): f"{version}-0ubuntu1"
            for name in ("nvidia-dkms-{}", "libnvidia-compute-{}", "nvidia-utils-{}")
        },
    }


_NOBLE = ("ubuntu", "24.04", "6.8.0-87-generic", "3.12.3")
_BOOKWORM = ("debian", "12", "6.1.0-41-amd64", "3.11.2")

_ALL = (
    _machine(
        "h800",
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
    _machine(
        "h20",
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
    _machine(
        "h200",
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
        link="NV18",
        card=("NVIDIA H200", 143_771, "9.0"),
        system=_NOBLE,
    ),
    _machine(
        "a100",
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
    _machine(
        "v100",
        cpu="Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz",
        cores=40,
        numa_nodes=2,
        memory=376 * _GIB,
        root=439 * _GIB,
        data=2 * _TIB,
        gpu="10de:1db5",
        slots="3d b1",
    ),
    _machine(
        "rtx4090",
        cpu="Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz",
        cores=56,
        numa_nodes=2,
        memory=503 * _GIB,
        root=879 * _GIB,
        data=7 * _TIB,
        gpu="10de:2684",
        slots="1a 1b 1c 1d 9a 9b 9c 9d",
        driver="550.78",
        card=("NVIDIA GeForce RTX 4090", 24_564, "8.9"),
    ),
    _machine(
        "rtx5090",
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
    _machine(
        "rtx3090",
        cpu="AMD Ryzen 9 5900X 12-Core Processor",
        cores=12,
        numa_nodes=1,
        memory=125 * _GIB,
        root=1831 * _GIB,
        data=0,
        gpu="10de:2204",
        slots="09 0a",
        driver="560.35.05",
        link="NV4",
        card=("NVIDIA GeForce RTX 3090", 24_576, "8.6"),
        isa="x86-64-v3",
    ),
    _machine(
        "rtx6000ada",
        cpu="Intel(R) Xeon(R) w9-3475X",
        cores=36,
        numa_nodes=1,
        memory=503 * _GIB,
        root=879 * _GIB,
        data=4 * _TIB,
        gpu="10de:26b1",
        slots="17 2a 65 b3",
    ),
    _machine(
        "l40s",
        cpu="Intel(R) Xeon(R) Gold 6430",
        cores=64,
        numa_nodes=2,
        memory=1007 * _GIB,
        root=879 * _GIB,
        data=7 * _TIB,
        gpu="10de:26b9",
        slots="16 27 38 5a 98 a8 c8 d8",
    ),
    _machine(
        "mi300x",
        cpu="AMD EPYC 9654 96-Core Processor",
        cores=192,
        numa_nodes=2,
        memory=2267 * _GIB,
        root=879 * _GIB,
        data=28 * _TIB,
        gpu="1002:74a1",
        slots="05 26 46 65 85 a6 c6 e5",
    ),
    _machine(
        "ascend910b",
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
    _machine(
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

MACHINES: dict[str, dict[str, Any]] = {
    machine["hostname"].removesuffix("-01"): machine for machine in _ALL
}
