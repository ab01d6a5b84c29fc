"""NVIDIA's cards with what changes while they work: clocks, heat, links, errors."""

from __future__ import annotations

import re
from typing import Any

from ..facts import pci
from ..lib.probe import number, run

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
_BUS = "pci.bus_id"
_UNKNOWN = re.compile(r'Field "([\w.]+)" is not a valid field')
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
    wanted = [
        *(_BUS, *_NUMBERS.values(), *_TEXTS.values()),
        *(f"clocks_event_reasons.{reason}" for reason in _REASONS),
    ]
    while True:
        query = f"--query-gpu={','.join(wanted)}"
        text, why = run("nvidia-smi", query, "--format=csv,noheader,nounits")
        unknown = _UNKNOWN.search(text)
        if unknown is None or unknown[1] not in wanted:
            return rows(text, wanted), why
        wanted.remove(unknown[1])


def rows(text: str, wanted: list[str]) -> dict[str, dict[str, Any]]:
    """Return the cards of a query's output by their PCI address."""
    found = {}
    for line in text.splitlines():
        values = dict(zip(wanted, (value.strip() for value in line.split(","))))
        bus = re.fullmatch(r"([0-9A-Fa-f]{4,8}):([0-9A-Fa-f:.]+)", values.get(_BUS, ""))
        if bus is None or len(line.split(",")) != len(wanted):
            continue
        address = f"{int(bus[1], 16):04x}:{bus[2].lower()}"
        card: dict[str, Any] = {
            name: number(values.get(field, "")) for name, field in _NUMBERS.items()
        }
        card.update({name: _text(values.get(field, "")) for name, field in _TEXTS.items()})
        for reason in _REASONS:
            said = values.get(f"clocks_event_reasons.{reason}", "")
            card[reason] = {"Active": True, "Not Active": False}.get(said)
        found[address] = card
    return found


def _text(value: str) -> str | None:
    return None if not value or value.startswith("[") or value == "N/A" else value
