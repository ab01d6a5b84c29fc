"""Work whose many files nothing proves: after a power cut it is begun anew.

A file system may have the name of a file on the disk and not yet what is in it, and who looks at
names and times alone, as ninja and uv do, takes that for the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .durable import replace

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return the kernel's name for this boot, or "" where it has none."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def begin(note: Path, there: Sequence[str] = ()) -> None:
    """Note that work goes on in this boot.

    + there: names of what was there before it, and is proven
    """
    replace(note, json.dumps({"boot": boot_id(), "there": list(there)}).encode())


def cut_off(note: Path) -> bool:
    """Return whether work was going on when the machine went down."""
    found = _read(note)
    return found is not None and found["boot"] != boot_id()


def there_before(note: Path) -> list[str] | None:
    """Return what was there before work that did not end; None if all did."""
    found = _read(note)
    return found["there"] if found else None


def _read(note: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(note.read_bytes())
    except FileNotFoundError:
        return None
    return found
