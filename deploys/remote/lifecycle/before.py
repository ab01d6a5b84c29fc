"""Note on this machine what was there before modelrack, once; uninstalling goes back to that.

    python3 before.py DATA_ROOT [KEY ...]

The keys are parameters of the kernel that are going to be set. On a machine that an earlier version
has deployed to, what was before is not known, and that is what is noted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..facts import container, packages
from ..lib import durable
from ..lib.probe import read
from ..lib.processes import PROCESSES, listening_sockets
from . import ours

NOTE = Path("/var/lib/modelrack/before.json")
_LISTS = Path("/etc/apt/sources.list.d")


def main() -> int:
    if not NOTE.exists():
        data_root, *keys = sys.argv[1:]
        NOTE.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        note = {"schema": 1, "known": False} if _deployed() else _noted(data_root, keys)
        durable.replace(NOTE, f"{json.dumps(note, indent=1)}\n".encode())
    return 0


def _deployed() -> bool:
    return bool(ours.marked()) or Path("/opt/modelrack").exists()


def _noted(data_root: str, keys: list[str]) -> dict[str, object]:
    models = [Path(data_root, "models"), Path(data_root, "ollama")]
    units = (each for each in Path("/", ours.UNITS).glob("*/") if each.is_dir())
    shared = (Path("/", each) for each in (*ours.SHARED, "etc/apt/keyrings"))
    folders = (*units, *shared, *models, Path(data_root), *Path(data_root).parents)
    # From the tree of an image one sees the computer that builds it.
    booted = container.is_booted()
    ports = listening_sockets(PROCESSES).values() if booted else ()
    values = {key: read(f"/proc/sys/{key.replace('.', '/')}").strip() for key in keys}
    return {
        "schema": 1,
        "known": True,
        "packages": packages.names(),
        "users": [line.partition(":")[0] for line in read("/etc/passwd").splitlines()],
        "ports": sorted({*ports}),
        "sysctl": values if booted else {},
        "folders": sorted(str(folder) for folder in folders if folder.is_dir()),
        "sources": sorted(path.name for path in _LISTS.glob("*")),
    }


if __name__ == "__main__":
    raise SystemExit(main())
