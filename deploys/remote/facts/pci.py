"""The machine's accelerators as the PCI bus shows them, which needs no driver."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..lib.probe import number, read

DEVICES = Path("/sys/bus/pci/devices")

# By vendor, the PCI classes that its accelerators have: 0300 VGA, 0302 3D, 0380 other display,
# 0b40 co-processor, 1200 processing accelerator. Huawei's VGA device is a server's console.
# Source: lspci of MI300X (1200), MI210 (0380), Ascend 910B (1200) and K100-AI (0b40) machines.
_CLASSES = {
    "10de": ("0300", "0302"),
    "1002": ("0300", "0302", "0380", "1200"),
    "19e5": ("1200",),
    "1d94": ("0380", "0b40", "1200"),
}
# NVSwitch of HGX V100, A100 and H100/H200/H800/H20. Source: pci.ids, and NVIDIA's Fabric Manager
# User Guide, by which those of HGX B200 and later are no PCI devices of the host.
_NVSWITCHES = {"10de:1ac2", "10de:1af1", "10de:22a3"}


def gpus(devices: Path = DEVICES) -> list[dict[str, Any]]:
    """Return one entry per accelerator, in the order of their addresses.

    The virtual functions that a card is divided into are no cards of their own on its host.
    """
    return [
        {
            "address": device.name,
            "pci_id": _pci_id(device),
            "subsystem": _pci_id(device, "subsystem_").strip(":"),
            "functions": number(read(device / "sriov_numvfs")),
            "numa": _numa(device),
            "lanes": number(read(device / "current_link_width")),
            "lanes_max": number(read(device / "max_link_width")),
            "driver": _driver(device),
        }
        for device in _devices(devices)
        if _class(device) in _CLASSES.get(_pci_id(device)[:4], ())
        and not (device / "physfn").exists()
    ]


def nvswitches(devices: Path = DEVICES) -> int:
    """Return the number of NVSwitch bridges."""
    return sum(_pci_id(device) in _NVSWITCHES for device in _devices(devices))


def _devices(devices: Path) -> list[Path]:
    return sorted(devices.glob("*"))


def _pci_id(device: Path, of: str = "") -> str:
    names = (read(device / f"{of}{name}").strip() for name in ("vendor", "device"))
    return ":".join(name.removeprefix("0x") for name in names)


def _class(device: Path) -> str:
    return read(device / "class").strip().removeprefix("0x")[:4]


def _numa(device: Path) -> int | None:
    """Return the NUMA node, or None if the firmware names none and the kernel reports -1."""
    node = number(read(device / "numa_node"))
    return node if node is not None and node >= 0 else None


def _driver(device: Path) -> str:
    try:
        return Path(os.readlink(device / "driver")).name
    except OSError:
        return ""
