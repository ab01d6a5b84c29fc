"""Print who holds the lock of apt, dpkg, rpm or dnf, as "name (pid 123)"; nothing if nobody does.

Uses the standard library only and imports nothing from this package: it runs as the text of
`python3 -c`.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
    "/var/lib/rpm/.rpm.lock",
)
# Files that hold the number of the process; dnf leaves them behind when it is killed.
_PID_FILES = ("/var/cache/dnf/metadata_lock.pid", "/var/lib/dnf/rpmdb_lock.pid")
# struct flock of 64-bit Linux: type, whence, start, length, pid.
_FLOCK = "hhqqi4x"


def main() -> int:
    for pid in [*map(_holder, _LOCKS), *map(_noted, _PID_FILES)]:
        if pid:
            name = Path(f"/proc/{pid}/comm")
            print(f"{name.read_text().strip() if name.exists() else 'a process'} (pid {pid})")
            break
    return 0


def _holder(path: str) -> int:
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return 0
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, question))
        return 0 if kind == fcntl.F_UNLCK else int(pid)
    finally:
        os.close(handle)


def _noted(path: str) -> int:
    try:
        pid = int(Path(path).read_text())
    except (OSError, ValueError):
        return 0
    return pid if Path(f"/proc/{pid}").exists() else 0


if __name__ == "__main__":
    raise SystemExit(main())
