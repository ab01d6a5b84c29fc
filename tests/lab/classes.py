"""The hardware of every host class, from the table of them (tests/plans/simulated.py)."""

from __future__ import annotations

from typing import Any

from deploys.planning.hardware.gpus import by_pci_id
from tests.lab.hardware import Board, Hardware
from tests.plans.host_class import HostClass
from tests.plans.simulated import CLASSES

_PCI_CLASSES = {"10de": "0x030200", "1002": "0x120000", "19e5": "0x120000"}
# Boards without ECC, or with ECC off as they come: RTX 3090; RTX 4090, 5090, 6000 Ada.
_ECC = {"10de:2204": None, "10de:2684": False, "10de:2b85": False, "10de:26b1": False}
_DISPLAYS = ("NVIDIA GeForce", "Radeon")
_VGA, _BRIDGE = "0x030000", "0x068000"
# The third generation, of Hopper's boards.
_NVSWITCH = "10de:22a3"


def _hardware(of: HostClass) -> Hardware:
    machine = of.facts
    system = None if machine["os"] == "debian" else (machine["os"], machine["os_version"])
    return Hardware(
        boards=tuple(
            _board(gpu, of.product, index * machine["numa_nodes"] // len(machine["gpus"]))
            for index, gpu in enumerate(machine["gpus"])
        ),
        nvswitches=tuple(
            Board(address=f"0000:{number + 5:02x}:00.0", pci_id=_NVSWITCH, pci_class=_BRIDGE)
            for number in range(machine["nvswitches"])
        ),
        system=system,
        link=of.nvlink,
        amdgpu=any(gpu.get("driver") == "amdgpu" for gpu in machine["gpus"]),
    )


def _board(gpu: dict[str, Any], product: str, numa: int) -> Board:
    known = by_pci_id(gpu["pci_id"])
    assert known is not None, gpu
    return Board(
        address=gpu["address"],
        pci_id=gpu["pci_id"],
        pci_class=_VGA if product.startswith(_DISPLAYS) else _PCI_CLASSES[gpu["pci_id"][:4]],
        numa=numa,
        name=product,
        memory=known.memory >> 20,
        compute=known.compute if known.vendor == "nvidia" else "",
        ecc=_ECC.get(gpu["pci_id"], True),
    )


HARDWARE: dict[str, Hardware] = {name: _hardware(each) for name, each in CLASSES.items()}
