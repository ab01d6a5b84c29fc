"""The hardware of every host class, from the simulated machines of the plans' tests.

What nvidia-smi shows is recorded for h800, h200, rtx4090 and rtx3090 (name, memory, NVLink pair);
the names and links of the others are what such boards usually print, not recorded.
"""

from __future__ import annotations

from typing import Any

from deploys.planning.hardware.gpus import by_pci_id
from tests.lab.hardware import Board, Hardware
from tests.plans.simulated import MACHINES

# Class: product name, link that `topo -m` shows ("" for PCIe), NVSwitch id and how many there are.
_PRODUCTS = {
    "h800": ("NVIDIA H800", "NV8", "10de:22a3", 4),
    "h20": ("NVIDIA H20", "NV18", "10de:22a3", 4),
    "h200": ("NVIDIA H200", "NV18", "10de:22a3", 4),
    "a100": ("NVIDIA A100 80GB PCIe", "", "", 0),
    "v100": ("Tesla V100-SXM2-32GB", "", "", 0),
    "rtx4090": ("NVIDIA GeForce RTX 4090", "", "", 0),
    "rtx5090": ("NVIDIA GeForce RTX 5090", "", "", 0),
    "rtx3090": ("NVIDIA GeForce RTX 3090", "NV4", "", 0),
    "rtx6000ada": ("NVIDIA RTX 6000 Ada Generation", "", "", 0),
    "l40s": ("NVIDIA L40S", "", "", 0),
    "mi300x": ("AMD Instinct MI300X", "", "", 0),
    "ascend910b": ("Ascend 910B", "", "", 0),
    "cpu": ("", "", "", 0),
}
_CLASSES = {"10de": "0x030200", "1002": "0x120000", "19e5": "0x120000"}
# Boards without ECC, or with ECC off as they come: RTX 3090; RTX 4090, 5090, 6000 Ada.
_ECC = {"10de:2204": None, "10de:2684": False, "10de:2b85": False, "10de:26b1": False}
_VGA, _BRIDGE = "0x030000", "0x068000"


def _hardware(name: str, machine: dict[str, Any]) -> Hardware:
    product, link, switch, switches = _PRODUCTS[name]
    system = None if machine["os"] == "debian" else (machine["os"], machine["os_version"])
    return Hardware(
        boards=tuple(
            _board(gpu, product, index * machine["numa_nodes"] // len(machine["gpus"]))
            for index, gpu in enumerate(machine["gpus"])
        ),
        nvswitches=tuple(
            Board(address=f"0000:{number + 5:02x}:00.0", pci_id=switch, pci_class=_BRIDGE)
            for number in range(switches)
        ),
        system=system,
        link=link,
    )


def _board(gpu: dict[str, Any], product: str, numa: int) -> Board:
    known = by_pci_id(gpu["pci_id"])
    assert known is not None, gpu
    return Board(
        address=gpu["address"],
        pci_id=gpu["pci_id"],
        pci_class=_VGA if "GeForce" in product else _CLASSES[gpu["pci_id"][:4]],
        numa=numa,
        name=product,
        memory=known.memory >> 20,
        compute=known.compute if known.vendor == "nvidia" else "",
        ecc=_ECC.get(gpu["pci_id"], True),
    )


HARDWARE: dict[str, Hardware] = {
    name: _hardware(name, machine) for name, machine in MACHINES.items()
}
