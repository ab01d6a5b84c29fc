"""AMD GPUs as their driver reports them: sysfs, amd-smi or the older rocm-smi.

Written from AMD's documentation (AMD SMI CLI tool, ROCm 6.1 to 7.2) and not tested on hardware. The
format of the JSON has changed between versions, so whatever does not match it is skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..lib.probe import number, read, run
from .pci import DEVICES

KFD = Path("/dev/kfd")
# Where ROCm's packages put their tools, which is on no PATH by itself.
TOOLS = "/opt/rocm/bin"


def loaded() -> str | None:
    """Return the version of AMD's own kernel module; the one in the kernel's tree has none."""
    return read("/sys/module/amdgpu/version").strip() or None


def has_kfd(device: Path = KFD) -> bool:
    """Return whether programs can compute on the cards, not only display pictures with them."""
    return device.exists()


def add_driver_details(
    gpus: list[dict[str, Any]], devices: Path = DEVICES
) -> tuple[list[dict[str, Any]], str]:
    """Add what the driver reports to the cards of the bus; return their links and any error."""
    for gpu in gpus:
        # Kernel documentation, gpu/amdgpu/driver-misc: bytes.
        gpu["memory"] = number(read(devices / gpu["address"] / "mem_info_vram_total"))
        gpu["used"] = number(read(devices / gpu["address"] / "mem_info_vram_used"))
    text, why = _ask("amd-smi", "static", "--asic", "--bus", "--json")
    rows = cards(text)
    if not rows:
        text, rocm_why = _ask(
            *("rocm-smi", "--showbus", "--showproductname", "--showuniqueid", "--json")
        )
        rows, why = rocm_cards(text), rocm_why or why
    for gpu in gpus:
        gpu.update(rows.get(gpu["address"], {}))
    if len(rows) < 2:
        return [], why
    table, table_why = _ask("amd-smi", "topology", "--json")
    return links(table), why or table_why


def cards(text: str) -> dict[str, dict[str, Any]]:
    """Return cards by PCI address, from the output of `amd-smi static --asic --bus --json`."""
    found = {}
    for entry in _entries(text):
        asic, bus = _part(entry, "asic"), _part(entry, "bus")
        found[_text(bus.get("bdf")).lower()] = {
            "index": entry.get("gpu") if isinstance(entry.get("gpu"), int) else None,
            "name": _text(asic.get("market_name")) or None,
            "uuid": _text(asic.get("asic_serial")) or None,
            "compute": _text(asic.get("target_graphics_version")) or None,
        }
    found.pop("", None)
    return found


def rocm_cards(text: str) -> dict[str, dict[str, Any]]:
    """Return cards by PCI address, from rocm-smi's JSON, which has one key per card: "card0"."""
    found = {}
    for key, entry in _object(text).items():
        index = number(key.removeprefix("card"))
        if index is not None and isinstance(entry, dict):
            found[_text(entry.get("PCI Bus")).lower()] = {
                "index": index,
                "name": _text(entry.get("Card Series") or entry.get("Card series")) or None,
                "uuid": _text(entry.get("Unique ID")) or None,
                "compute": _text(entry.get("GFX Version")) or None,
            }
    found.pop("", None)
    return found


def links(text: str) -> list[dict[str, Any]]:
    """Return one entry per pair of cards, XGMI or PCIE, from `amd-smi topology --json`."""
    found = []
    for entry in _entries(text):
        first, others = entry.get("gpu"), entry.get("links")
        for other in others if isinstance(others, list) else ():
            second = other.get("gpu") if isinstance(other, dict) else None
            if isinstance(first, int) and isinstance(second, int) and first < second:
                kind = _text(other.get("link_type"))
                found.append({"first": first, "second": second, "kind": kind})
    return found


def _ask(tool: str, *words: str) -> tuple[str, str]:
    text, why = run(tool, *words)
    return (text, why) if text or why else run(f"{TOOLS}/{tool}", *words)


def _entries(text: str) -> list[dict[str, Any]]:
    """Return one object per card, from a list, or since ROCm 7 from the list in "gpu_data"."""
    data = _json(text)
    if isinstance(data, dict):
        data = data.get("gpu_data")
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _object(text: str) -> dict[str, Any]:
    data = _json(text)
    return data if isinstance(data, dict) else {}


def _json(text: str) -> Any:
    """Return the JSON that follows any warnings, or None if there is none."""
    starts = [text.find(bracket) for bracket in "[{" if bracket in text]
    try:
        return json.loads(text[min(starts) :]) if starts else None
    except (ValueError, RecursionError):
        return None


def _part(entry: dict[str, Any], key: str) -> dict[str, Any]:
    part = entry.get(key)
    return part if isinstance(part, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value != "N/A" else ""
