"""Print what an acceptance asks of a machine as a whole, as one JSON object.

    python3 look.py < wanted.json      {"folder", "size", "disk": also measure it, "gateway"}

"gateway" is the socket of its master and the folder of its maps, or null. What cannot be read is
empty; a machine that was deployed lets root read all of it.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

from ..facts import kernel_log
from ..lib.probe import number, read, run
from ..lib.processes import PROCESSES, ports_and_holders
from . import cards, disk, limits

STATE = Path("/var/lib/modelrack/state.json")
_DMI = Path("/sys/class/dmi/id")


def main() -> int:
    wanted: dict[str, Any] = json.load(sys.stdin)
    found, why = cards.seen()
    errors, _ = kernel_log.errors()
    units, _ = run("systemctl", "--failed", "--plain", "--no-legend")
    looked: dict[str, Any] = {
        "identity": _identity(),
        "deployed": _deployed(),
        "failed_units": [line.split()[0] for line in units.splitlines() if line.split()],
        "host_uncorrected": _uncorrected(),
        "listening": _for_others(),
        "cards": found,
        "cards_error": why,
        "xids": errors,
        "gateway": limits.seen(**wanted["gateway"]) if wanted["gateway"] else None,
    }
    if wanted["disk"]:
        looked["disk"] = disk.measured(wanted["folder"], wanted["size"])
    print(json.dumps(looked))
    return 0


def _identity() -> dict[str, Any]:
    names = {
        "serial": "product_serial",
        "product": "product_name",
        "vendor": "sys_vendor",
        "board_serial": "board_serial",
        "bios": "bios_version",
    }
    found: dict[str, Any] = {name: read(_DMI / file).strip() for name, file in names.items()}
    found["kernel"] = platform.release()
    found["machine_id"] = read("/etc/machine-id").strip()
    interfaces = sorted(Path("/sys/class/net").glob("*"))
    found["macs"] = [
        read(each / "address").strip()
        for each in interfaces
        if read(each / "type").strip() == "1" and (each / "device").exists()
    ]
    text, _ = run("lsblk", "--json", "--nodeps", "--bytes", "--output", "NAME,MODEL,SERIAL,SIZE")
    try:
        disks = json.loads(text)["blockdevices"]
    except (ValueError, KeyError):
        disks = []
    found["disks"] = [each for each in disks if each.get("serial")]
    # A unit that was made from an image has its own name, which its firmware may not have.
    found["unit"] = _unit()
    return found


def _unit() -> str:
    try:
        told = json.loads(read("/var/lib/modelrack/unit/self-test.json"))
    except ValueError:
        return ""
    return str(told.get("serial") or "")


def _deployed() -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads(read(STATE))
    except ValueError:
        return None
    plan: dict[str, Any] | None = state.get("plan")
    return plan


def _uncorrected() -> int | None:
    """Return the errors that the memory controllers have counted; None where none counts."""
    counts = [
        number(read(path)) for path in Path("/sys/devices/system/edac/mc").glob("mc*/ue_count")
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _for_others() -> dict[int, str]:
    """Return ports that listen on an address that others can reach, and who does."""
    owners, _ = ports_and_holders(with_gpus=False)
    reachable = set()
    for table in ("net/tcp", "net/tcp6"):
        for line in read(PROCESSES / table).splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].rsplit(":", 1)
            if fields[3] == "0A" and not _is_loopback(address):
                reachable.add(int(port, 16))
    return {port: owners.get(port, "") for port in sorted(reachable)}


def _is_loopback(address: str) -> bool:
    """Return whether an address of the kernel's table, in its order of bytes, is this machine's."""
    if len(address) == 8:
        return address.endswith("7F")
    return address in (f"{'0' * 24}01000000", f"{'0' * 16}FFFF0000{'0100007F'}")


if __name__ == "__main__":
    raise SystemExit(main())
