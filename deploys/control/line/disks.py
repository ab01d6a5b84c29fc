"""The disks of this computer, as the kernel has them now."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.line.disk import LineDisk

_COLUMNS = "PATH,TYPE,SIZE,RO,MODEL,SERIAL,WWN,MOUNTPOINTS"


def look(path: Path) -> LineDisk:
    """Return a disk, whatever link names it; raise Refusal if it is none."""
    device = path.resolve()
    if not device.is_block_device():
        raise Refusal(
            f"There is no disk {path}", "Plug it in; lsblk -o PATH,SIZE,MODEL,SERIAL lists all"
        )
    asked = ["lsblk", "--json", "--bytes", "--tree", "--output", _COLUMNS, str(device)]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    if told.returncode:
        raise Refusal(f"{path} cannot be looked at: {told.stderr.strip()}", "Plug it in again")
    (listed,) = json.loads(told.stdout)["blockdevices"]
    return LineDisk.of(listed)
