"""nv-fabricmanager of a lab machine: runs only beside the driver of its own version.

Forks into the background like the real one, so that its unit's start fails when it does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

VERSION = "@VERSION@"
HARDWARE = Path("/lab/hardware/machine.json")
LOADED = Path("/proc/driver/nvidia/version")
PID_FILE = Path("/run/nvidia-fabricmanager/nv-fabricmanager.pid")


def main() -> int:
    found = re.search(r"  (\d[\d.]+) ", LOADED.read_text()) if LOADED.exists() else None
    if found is None:
        return _fail("failed to open the NVIDIA driver: Is the driver loaded?")
    if found[1] != VERSION:
        return _fail(
            f"fabric manager NVIDIA GPU driver interface version {VERSION} don't match with driver"
            f" version {found[1]}. Please update with matching NVIDIA driver package."
        )
    if not json.loads(HARDWARE.read_text())["nvswitches"]:
        return _fail(
            "request to query NVSwitch device information from NVSwitch driver failed with"
            " error:WARNING Nothing to do [NV_WARN_NOTHING_TO_DO]"
        )
    if child := os.fork():
        PID_FILE.write_text(f"{child}\n")
        return 0
    os.setsid()
    signal.pause()
    return 0


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
