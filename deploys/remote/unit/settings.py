"""What an image says to the units that boot it, and where they keep what is theirs alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/modelrack/unit.json")
KEY = Path("/etc/modelrack/secrets/unit-key")
FOLDER = Path("/var/lib/modelrack/unit")
IDENTITY, SELF_TEST = FOLDER / "identity.json", FOLDER / "self-test.json"
# Written when the self-test passes for the first time, and never again.
CERTIFICATE = FOLDER / "certificate.json"
# Firmware that nobody filled in says so in one of these ways.
_NO_SERIAL = re.compile(
    r"|none|0+|default string|to be filled.*|not (?:specified|applicable).*", re.I
)


def read() -> dict[str, Any]:
    """Return the settings, as deploys/image.py has written them."""
    told: dict[str, Any] = json.loads(SETTINGS.read_text())
    return told


def serial(folder: Path = Path("/sys/class/dmi/id")) -> str | None:
    """Return the serial number that the firmware knows; None where it knows none."""
    for name in ("product_serial", "board_serial", "chassis_serial"):
        try:
            found = (folder / name).read_text().strip()
        except OSError:
            continue
        if not _NO_SERIAL.fullmatch(found):
            return found
    return None


def text_of(path: Path) -> str | None:
    """Return what a file has, without its end of line; None where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return None
