"""NVIDIA GPUs as their driver reports them: loaded module, library, cards, links, errors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..lib.probe import number, read, run
from .topology import links

_FIELDS = (
    "index",
    "pci.bus_id",
    "name",
    "uuid",
    "memory.total",
    "memory.used",
    "compute_cap",
    "ecc.mode.current",
    "mig.mode.current",
    "persistence_mode",
    "ecc.errors.uncorrected.volatile.total",
    # The other way to ask fails where no card can remap.
    "remapped_rows.pending",
)
_BUS = re.compile(r"([0-9A-Fa-f]{4,8}):([0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])")
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")
# By this an older driver tells that it does not know a field: compute_cap came with 510.
_UNKNOWN_FIELD = re.compile(r'Field "([\w.]+)" is not a valid field')
# What stands in a field where the card does not answer for itself any more.
_BROKEN = re.compile(r"requires reset|unknown error|GPU is lost|ERR!", re.IGNORECASE)
# Characters of a complaint: enough for the sentence, not for a whole table.
_MOST = 300
# Where distributions, NVIDIA's repositories and its .run installer put the library.
_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")


def loaded(text: str) -> tuple[str | None, str | None]:
    """Return version and flavour of the loaded module, from /proc/driver/nvidia/version's text."""
    line = next((line for line in text.splitlines() if line.startswith("NVRM version:")), "")
    version = re.search(r"Kernel Module\b.*?\s(\d+\.\d[\d.]*)", line)
    if version is None:
        return None, None
    return version[1], "open" if "Open Kernel Module" in line else "proprietary"


def userspace(
    folders: tuple[str, ...] = _LIBRARIES, more: Path = Path("/etc/ld.so.conf.d")
) -> str | None:
    """Return the version of libnvidia-ml, from the name of the file that its links lead to.

    The usual folders are searched first, then those that the dynamic linker is configured with.
    """
    named = [
        line.strip() for path in sorted(more.glob("*.conf")) for line in read(path).split("\n")
    ]
    for folder in (*folders, *(line for line in named if line.startswith("/"))):
        name = Path(os.path.realpath(Path(folder, "libnvidia-ml.so.1"))).name
        match = re.fullmatch(r"libnvidia-ml\.so\.(\d+\.\d[\d.]*)", name)
        if match:
            return match[1]
    return None


def add_driver_details(gpus: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Add what nvidia-smi reports to the cards of the bus; return their links and any error."""
    text, fields, why = asked(_FIELDS)
    rows, complaint = cards(text, fields)
    for gpu in gpus:
        gpu.update(rows.get(gpu["address"], {}))
    if len(rows) < 2:
        return [], complaint or why
    table, table_why = run("nvidia-smi", "topo", "-m")
    return links(table), complaint or why or table_why


def cards(text: str, fields: tuple[str, ...] = _FIELDS) -> tuple[dict[str, dict[str, Any]], str]:
    """Return cards by PCI address, from the output of a query, and its complaints as text.

    Complaints are lines that describe no card, and values such as "GPU is lost"; the text has at
    most 300 characters.
    """
    rows = {}
    complaints = []
    for line in filter(None, map(str.strip, text.splitlines())):
        card = row(line, fields)
        if card is None:
            complaints.append(line)
            continue
        address, values = card
        broken = _BROKEN.search(line)
        rows[address] = {**_card(values), "broken": broken[0] if broken else ""}
        if broken:
            complaints.append(f"{address}: {broken[0]}")
    return rows, "; ".join(complaints)[:_MOST]


def asked(
    fields: tuple[str, ...], ask: Callable[..., tuple[str, str]] = run
) -> tuple[str, tuple[str, ...], str]:
    """Return what nvidia-smi prints of all cards, those of the fields that it knows, and any error.

    + fields: as `nvidia-smi --help-query-gpu` names them
    + ask: what runs a tool
    """
    while True:
        query = f"--query-gpu={','.join(fields)}"
        text, why = ask("nvidia-smi", query, "--format=csv,noheader,nounits")
        unknown = _UNKNOWN_FIELD.search(text)
        if unknown is None or unknown[1] not in fields:
            return text, fields, why
        fields = tuple(field for field in fields if field != unknown[1])


def row(line: str, fields: tuple[str, ...]) -> tuple[str, dict[str, str]] | None:
    """Return a card's PCI address and its values by field; None if the line describes no card."""
    values = [value.strip() for value in line.split(",")]
    found = dict(zip(fields, values))
    bus = _BUS.fullmatch(found.get("pci.bus_id", ""))
    if bus is None or len(values) != len(fields):
        return None
    return f"{int(bus[1], 16):04x}:{bus[2].lower()}", found


def _card(values: dict[str, str]) -> dict[str, Any]:
    compute = values.get("compute_cap", "")
    return {
        "index": number(values["index"]),
        "name": stated(values["name"]),
        "uuid": stated(values["uuid"]),
        "memory": _bytes(values["memory.total"]),
        "used": _bytes(values["memory.used"]),
        "compute": compute if _VERSION.fullmatch(compute) else None,
        "ecc": _flag(values["ecc.mode.current"]),
        "mig": _flag(values["mig.mode.current"]),
        "persistence": _flag(values["persistence_mode"]),
        "uncorrected": number(values["ecc.errors.uncorrected.volatile.total"]),
        "remap_pending": _flag(values.get("remapped_rows.pending", "")),
    }


def stated(value: str) -> str | None:
    """Return a value, or None if the card has no such feature: "[N/A]"."""
    return None if not value or value.startswith("[") or value == "N/A" else value


def _bytes(mebibytes: str) -> int | None:
    count = number(mebibytes)
    return None if count is None else count << 20


def _flag(value: str) -> bool | None:
    """Return True or False, or None if the card has no such feature: "[N/A]"."""
    return {"Enabled": True, "Yes": True, "Disabled": False, "No": False}.get(value)
