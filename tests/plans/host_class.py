"""What the table of host classes (simulated.py) is written in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any


@dataclass(frozen=True, kw_only=True)
class HostClass:
    """One machine of a class.

    + product: what its cards are called, "" where there are none
    + nvlink: what `nvidia-smi topo -m` shows between two of them, "" over PCIe
    + facts: what the facts program prints
    + machines: how many of them serve a model together
    """

    product: str
    nvlink: str
    facts: dict[str, Any]
    machines: int = 1

    def of(self, rank: int) -> dict[str, Any]:
        """What the facts program prints on one of the machines that serve a model together."""
        if self.machines == 1:
            return self.facts
        address = f"10.9.0.{11 + rank}"
        bond = {"name": "bond0", "addresses": [address], "mtu": 9000, "speed": 200_000}
        return {
            **self.facts,
            "hostname": f"{self.facts['hostname'][:-1]}{rank + 1}",
            "addresses": [address],
            "fabric": {**self.facts["fabric"], "interfaces": [bond]},
        }


def host_class(
    name: str,
    *,
    product: str = "",
    nvlink: str = "",
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
    kernel_driver: str = "",
    card: tuple[int, str] = (0, ""),
    isa: str = "x86-64-v4",
    architecture: str = "x86_64",
    machines: int = 1,
    system: tuple[str, str, str, str] = ("ubuntu", "22.04", "5.15.0-161-generic", "3.10.12"),
) -> HostClass:
    """The class; `slots` are PCI buses, `root` and `data` sizes of ext4 and XFS.

    + driver, flavour: version of the loaded NVIDIA driver and kind of its module, "" for none
    + kernel_driver: what the kernel itself has bound to the cards, "" for nothing
    + card: MiB and compute capability that the driver reports
    + machines: how many serve a model together; these have eight RoCE devices of 400 Gb/s
    """
    os, os_version, kernel, python = system
    gpus = [
        _gpu(gpu, slot, index, len(slots.split()), numa_nodes)
        for index, slot in enumerate(slots.split())
    ]
    for each in gpus if kernel_driver else ():
        each["driver"] = kernel_driver
    if driver:
        for index, each in enumerate(gpus):
            mebibytes, compute = card
            each |= {
                "index": index,
                "name": product,
                "uuid": f"GPU-{index:08x}",
                "memory": mebibytes << 20,
                "used": 0,
                "compute": compute,
                "persistence": False,
                "driver": "nvidia",
            }
    pairs = combinations(range(len(gpus)), 2) if driver and nvlink else ()
    disks = [{"mount": "/", "kind": "ext4", "total": root, "free": root * 9 // 10}]
    if data:
        disks.append({"mount": "/data", "kind": "xfs", "total": data, "free": data * 97 // 100})
    facts = {
        "hostname": f"{name}-01",
        "os": os,
        "os_version": os_version,
        "architecture": architecture,
        "kernel": kernel,
        "cpu": cpu,
        "isa": isa,
        "cores": cores,
        "numa_nodes": numa_nodes,
        "nodes": [
            {"index": node, "cores": cores // numa_nodes, "memory": memory // numa_nodes}
            for node in range(numa_nodes)
        ],
        "memory": memory,
        "disks": disks,
        "gpus": gpus,
        "links": [{"first": one, "second": two, "kind": nvlink} for one, two in pairs],
        "nvswitches": nvswitches,
        "kernels": [{"release": kernel, "headers": bool(driver), "module": driver or None}],
        "secure_boot": False,
        "driver": _driver(driver, flavour, bool(nvswitches)) if driver else {},
        "ports": {"22": "ssh.service"},
        "ssh_ports": [22],
        "systemd": True,
        "python": python,
    }
    if machines > 1:
        facts["fabric"] = {"hcas": [_hca(number) for number in range(8)]}
    return HostClass(product=product, nvlink=nvlink, facts=facts, machines=machines)


def _hca(number: int) -> dict[str, Any]:
    return {
        "name": f"mlx5_{number}:1",
        "layer": "Ethernet",
        "active": True,
        "gigabits": 400,
        "interfaces": [f"ens{number}np0"],
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
