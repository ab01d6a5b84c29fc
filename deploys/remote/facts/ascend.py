"""Ascend cards as Huawei's driver reports them through npu-smi.

Written from published output of npu-smi 24.1 to 26.0 and not tested on hardware.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from ..lib.probe import read, run
from .topology import links

# Where CANN is, newer releases first. Source: installation guide of CANN 8.5, and of those before.
HOMES = (Path("/usr/local/Ascend/cann"), Path("/usr/local/Ascend/ascend-toolkit/latest"))
# | npu-smi 24.1.0                   Version: 24.1.0                          |
_VERSION = re.compile(r"npu-smi\s+\S+\s+Version:\s*(\S+)")
# | 0     910B3               | OK            | 101.8       43          0    / 0    |
_NPU = re.compile(r"\|\s*(\d{1,4})\s+([\w-]*[A-Za-z][\w-]*)\s*\|\s*(\w+)\s*\|")
# | 0                         | 0000:C1:00.0  | 0     0    / 0          3318 / 65536         |
_CHIP = re.compile(r"\|\s*\d+\s*\|\s*([0-9A-Fa-f]{4}:[0-9A-Fa-f:.]{7})\s*\|(.*)\|")
_USAGE = re.compile(r"(\d{1,12})\s*/\s*(\d{1,12})")


def add_driver_details(gpus: list[dict[str, Any]]) -> tuple[str | None, list[dict[str, Any]], str]:
    """Add what npu-smi reports to the cards; return the driver's version, links and any error."""
    text, why = run("npu-smi", "info")
    rows, complaint = cards(text)
    for gpu in gpus:
        gpu.update(rows.get(gpu["address"], {}))
    version = _VERSION.search(text)
    table, table_why = run("npu-smi", "info", "-t", "topo") if len(rows) > 1 else ("", "")
    return version[1] if version else None, links(table), complaint or why or table_why


def toolkit(homes: tuple[Path, ...] = HOMES) -> str | None:
    """Return the version of CANN's toolkit, as its installer has noted it."""
    for home in homes:
        note = read(home / f"{platform.machine()}-linux/ascend_toolkit_install.info")
        found = re.search(r"^version=(\S+)", note, re.MULTILINE)
        if found:
            return found[1]
    return None


def cards(text: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the cards that `npu-smi info` lists, by PCI address, and a text on unhealthy ones."""
    found = {}
    complaints = []
    card: dict[str, Any] = {}
    for line in text.splitlines():
        if npu := _NPU.match(line):
            card = {"index": int(npu[1]), "name": npu[2]}
            health = npu[3]
        elif card and (chip := _CHIP.match(line)):
            address = chip[1].lower()
            # The last pair of figures is the memory of the card, used and total, in MiB.
            usage = _USAGE.findall(chip[2])[-1:]
            found[address] = {
                **card,
                "used": int(usage[0][0]) << 20 if usage else None,
                "memory": int(usage[0][1]) << 20 if usage else None,
            }
            if health != "OK":
                complaints.append(f"{address}: health is {health}")
            card = {}
    return found, "; ".join(complaints)
