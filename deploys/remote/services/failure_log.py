"""Keep the end of a failed unit's journal as a file.

Journals are limited in size, and lost at a reboot where they are kept in memory.
"""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from pathlib import Path

from ..lib import durable

FOLDER = Path("/var/lib/modelrack/failures")
_LINES = 400
# Of one unit.
_FILES = 5


def keep(unit: str, folder: Path = FOLDER) -> Path:
    """Write the end of the unit's journal to <unit>-<time>.log, for root alone; return its path.

    Remove all but the five latest logs of this unit.
    """
    journal = subprocess.run(
        [
            *("journalctl", "--no-pager", "--output=short-iso", f"--lines={_LINES}"),
            *("--unit", unit),
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    file = folder / f"{unit}-{now}.log"
    durable.replace(file, journal.stdout, mode=0o600)
    # A time is as long as any other, so another unit whose name begins alike is not taken for it.
    of_unit = (each for each in folder.iterdir() if each.name[: -len(f"-{now}.log")] == unit)
    for old in sorted(of_unit)[:-_FILES]:
        old.unlink()
    return file
