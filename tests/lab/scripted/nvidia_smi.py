"""nvidia-smi of a lab machine: answers for the scripted boards, or fails as the real one does.

It loads libnvidia-ml.so.1, so that library's version is its own, and compares it with the loaded
module's. The texts and exit codes are those of the real tool. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

HARDWARE = Path("/lab/hardware/machine.json")
LIBRARY = Path("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")
LOADED = Path("/proc/driver/nvidia/version")
# Set by `-pm 1` and by nvidia-persistenced; gone after a reboot.
PERSISTENCE = Path("/run/lab-hardware/persistence")
NO_LIBRARY = (
    "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure that the"
    " NVIDIA Display Driver is properly installed and present in your system.\n"
    "Please also try adding directory that contains libnvidia-ml.so to your system PATH."
)
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that"
    " the latest NVIDIA driver is installed and running.\n"
)
CUDA = {"580": "13.0", "595": "13.2"}
RULE = f"+{'-' * 89}+"
HEADS = """\
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
"""
COLUMNS = f"+{'-' * 41}+{'-' * 24}+{'-' * 22}+"


def main() -> int:
    words = sys.argv[1:]
    hardware = json.loads(HARDWARE.read_text())
    time.sleep(hardware["smi_seconds"])
    if not LIBRARY.exists():
        return _fail(NO_LIBRARY, 12)
    version = LIBRARY.resolve().name.partition(".so.")[2]
    if not LOADED.exists():
        return _fail(NO_DRIVER, 9)
    loaded = re.search(r"  (\d[\d.]+) ", LOADED.read_text())
    if loaded is None or loaded[1] != version:
        short = ".".join(version.split(".")[:2])
        text = "Failed to initialize NVML: Driver/library version mismatch"
        return _fail(f"{text}\nNVML library version: {short}", 18)
    boards = [board for board in hardware["boards"] if board["address"] not in hardware["fallen"]]
    if not boards:
        return _fail("No devices were found", 6)
    options = dict(word.lstrip("-").partition("=")[::2] for word in words)
    if fields := options.get("query-gpu"):
        return _query(boards, version, fields.split(","), options.get("format", "csv"))
    if words[:2] == ["topo", "-m"]:
        print(_topology(boards, hardware["link"]))
    elif words[:1] == ["-pm"]:
        PERSISTENCE.touch() if words[1] in ("1", "ENABLED") else PERSISTENCE.unlink(True)
        print("\n".join(f"Enabled persistence mode for GPU {_bus(board)}." for board in boards))
    elif words == ["-L"]:
        for index, board in enumerate(boards):
            print(f"GPU {index}: {board['name']} (UUID: {_uuid(board)})")
    elif words[:1] == ["-q"]:
        print(_details(boards, version, bool(hardware["nvswitches"])))
    elif not words:
        print(_table(boards, version))
    else:
        return _fail(f'Invalid combination of input arguments. "{" ".join(words)}"', 2)
    return 0


def _query(boards: list[dict[str, Any]], version: str, fields: list[str], form: str) -> int:
    rows = [_values(index, board, version) for index, board in enumerate(boards)]
    for name in fields:
        if name not in rows[0]:
            return _fail(f'Field "{name}" is not a valid field to query.\n', 2)
    units = {"memory.total": "MiB", "memory.used": "MiB"}
    bare = "nounits" in form
    if "noheader" not in form:
        heads = [f"{name} [{units[name]}]" if name in units else name for name in fields]
        print(", ".join(heads))
    for row in rows:
        values = [row[name] if bare or name not in units else f"{row[name]} MiB" for name in fields]
        print(", ".join(values))
    return 0


def _values(index: int, board: dict[str, Any], version: str) -> dict[str, str]:
    ecc = {None: "[N/A]", True: "Enabled", False: "Disabled"}[board["ecc"]]
    counted = ecc == "Enabled"
    rows = {"correctable": "0", "uncorrectable": "0", "failure": "No"}
    reasons = (
        "hw_slowdown",
        "hw_thermal_slowdown",
        "hw_power_brake_slowdown",
        "sw_thermal_slowdown",
        "sw_power_cap",
    )
    can_split = board["compute"] in ("8.0", "9.0", "10.0")
    return {
        "index": str(index),
        "pci.bus_id": _bus(board),
        "name": board["name"],
        "uuid": _uuid(board),
        "memory.total": str(board["memory"]),
        "memory.used": str(board["used"]),
        "compute_cap": board["compute"],
        "ecc.mode.current": ecc,
        "mig.mode.current": "Disabled" if can_split else "[N/A]",
        "persistence_mode": "Enabled" if PERSISTENCE.exists() else "Disabled",
        "ecc.errors.uncorrected.volatile.total": str(board["uncorrected"]) if counted else "[N/A]",
        "remapped_rows.pending": ("Yes" if board["remap_pending"] else "No")
        if counted
        else "[N/A]",
        "ecc.errors.corrected.volatile.total": "0" if counted else "[N/A]",
        **{f"remapped_rows.{name}": text if counted else "[N/A]" for name, text in rows.items()},
        **{
            f"clocks_event_reasons.{name}": "Active" if name in board["throttled"] else "Not Active"
            for name in reasons
        },
        "driver_version": version,
        **_working(board, counted),
    }


def _working(board: dict[str, Any], counted: bool) -> dict[str, str]:
    """What changes while a card works, and what it is called by its maker."""
    return {
        "serial": str(1320000000000 + int(re.sub(r"\W", "", board["address"]), 16)),
        "vbios_version": "92.00.45.00.03",
        "temperature.gpu": str(board["temperature"]),
        "temperature.memory": str(board["temperature"] + 6) if counted else "N/A",
        "clocks.sm": str(board["clock"]),
        "clocks.max.sm": "1410",
        "pcie.link.gen.current": "4",
        "pcie.link.gen.max": "4",
        "power.draw": "71.52",
        "power.limit": "300.00",
        "utilization.gpu": "0",
    }


def _topology(boards: list[dict[str, Any]], link: str) -> str:
    names = [f"GPU{index}" for index in range(len(boards))]
    heads = "\t".join([*names, "CPU Affinity", "NUMA Affinity", "GPU NUMA ID"])
    # Underlined, even into a pipe.
    lines = [f"\t\x1b[4m{heads}\x1b[0m"]
    for name, board in zip(names, boards, strict=True):
        ways = [
            " X " if other is board else link or ("SYS", "NODE")[other["numa"] == board["numa"]]
            for other in boards
        ]
        cores = f"{24 * board['numa']}-{24 * board['numa'] + 23}"
        lines.append("\t".join([name, *ways, cores, str(board["numa"]), "", "N/A"]))
    return "\n".join([*lines, "", "Legend:", "", "  X    = Self"])


def _details(boards: list[dict[str, Any]], version: str, fabric: bool) -> str:
    lines = ["", "==============NVSMI LOG==============", ""]
    lines += [_line(0, "Driver Version", version), _line(0, "CUDA Version", _cuda(version))]
    lines += [_line(0, "Attached GPUs", str(len(boards)))]
    manager = Path("/run/nvidia-fabricmanager/nv-fabricmanager.pid").exists()
    state = ("Completed" if manager else "In Progress") if fabric else "N/A"
    for index, board in enumerate(boards):
        values = _values(index, board, version)
        lines += [
            f"GPU {_bus(board)}",
            _line(1, "Product Name", board["name"]),
            _line(1, "Persistence Mode", values["persistence_mode"]),
            "    ECC Mode",
            _line(2, "Current", values["ecc.mode.current"].strip("[]")),
            "    Remapped Rows",
            _line(2, "Pending", values["remapped_rows.pending"].strip("[]")),
            "    Fabric",
            _line(2, "State", state),
            _line(2, "Status", "Success" if state == "Completed" else "N/A"),
        ]
    return "\n".join(lines)


def _table(boards: list[dict[str, Any]], version: str) -> str:
    cuda = _cuda(version)
    lines = [
        time.strftime("%a %b %e %H:%M:%S %Y"),
        RULE,
        f"| NVIDIA-SMI {version:<23}Driver Version: {version:<15}CUDA Version: {cuda:<9}|",
        COLUMNS,
        *HEADS.splitlines(),
        f"|{COLUMNS[1:-1].replace('-', '=')}|",
    ]
    for index, board in enumerate(boards):
        values = _values(index, board, version)
        on = "On" if PERSISTENCE.exists() else "Off"
        ecc = {None: "N/A", False: "Off", True: str(board["uncorrected"])}[board["ecc"]]
        split = values["mig.mode.current"].strip("[]")
        lines += [
            f"|{index:>4}  {board['name']:<31}{on:<3} |   {_bus(board)} Off |{ecc:>21} |",
            f"| N/A   38C    P0            135W /  700W |{board['used']:>8}MiB /"
            f" {board['memory']:>6}MiB |      0%      Default |",
            f"|{'':41}|{'':24}|{split:>21} |",
            COLUMNS,
        ]
    return "\n".join(lines)


def _line(depth: int, name: str, value: str) -> str:
    return f"{' ' * 4 * depth + name:<50} : {value}"


def _cuda(version: str) -> str:
    return CUDA.get(version.partition(".")[0], "N/A")


def _bus(board: dict[str, Any]) -> str:
    return f"0000{board['address']}".upper()


def _uuid(board: dict[str, Any]) -> str:
    number = int(re.sub(r"\W", "", board["address"]), 16)
    return f"GPU-{number:08x}-0000-4000-8000-{number:012x}"


def _fail(text: str, code: int) -> int:
    print(text)
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    raise SystemExit(main())
