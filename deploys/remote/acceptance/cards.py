"""NVIDIA's cards with what changes while they work: clocks, heat, links, errors."""

from __future__ import annotations

from typing import Any

from ..facts import nvidia, pci
from ..lib.probe import number

_REASONS = (
    "hw_slowdown",
    "hw_thermal_slowdown",
    "hw_power_brake_slowdown",
    "sw_thermal_slowdown",
)
_NUMBERS = {
    "index": "index",
    "temperature": "temperature.gpu",
    "memory_temperature": "temperature.memory",
    "clock": "clocks.sm",
    "clock_max": "clocks.max.sm",
    "generation": "pcie.link.gen.current",
    "generation_max": "pcie.link.gen.max",
    "corrected": "ecc.errors.corrected.volatile.total",
    "uncorrected": "ecc.errors.uncorrected.volatile.total",
    "remapped": "remapped_rows.uncorrectable",
    "busy": "utilization.gpu",
}
_TEXTS = {
    "name": "name",
    "uuid": "uuid",
    "serial": "serial",
    "vbios": "vbios_version",
    "driver": "driver_version",
    "power": "power.draw",
    "power_limit": "power.limit",
}
_EMPTY: dict[str, Any] = {
    **dict.fromkeys((*_NUMBERS, *_TEXTS, *_REASONS)),
}


def seen() -> tuple[list[dict[str, Any]], str]:
    """Return all cards of the bus, and what their tool says where it fails.

    One that its driver does not see has no index. What a driver is too old to know, and what a card
    has not got, is None.
    """
    rows, why = _asked()
    cards = []
    for gpu in pci.gpus():
        link = {name: gpu[name] for name in ("address", "pci_id", "lanes", "lanes_max")}
        cards.append({**_EMPTY, **rows.get(gpu["address"], {}), **link})
    return cards, why


def _asked() -> tuple[dict[str, dict[str, Any]], str]:
    reasons = (f"clocks_event_reasons.{reason}" for reason in _REASONS)
    wanted = ("pci.bus_id", *_NUMBERS.values(), *_TEXTS.values(), *reasons)
    text, fields, why = nvidia.asked(wanted)
    return rows(text, fields), why


def rows(text: str, fields: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return the cards of a query's output by their PCI address."""
    found = {}
    for line in text.splitlines():
        if (row := nvidia.row(line, fields)) is None:
            continue
        address, values = row
        card: dict[str, Any] = {
            name: number(values.get(field, "")) for name, field in _NUMBERS.items()
        }
        card.update({name: nvidia.stated(values.get(field, "")) for name, field in _TEXTS.items()})
        for reason in _REASONS:
            said = values.get(f"clocks_event_reasons.{reason}", "")
            card[reason] = {"Active": True, "Not Active": False}.get(said)
        found[address] = card
    return found
