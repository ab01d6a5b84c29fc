"""How fast the disk with the weights writes and reads, past what the kernel remembers."""

from __future__ import annotations

import contextlib
import mmap
import os
import time
from pathlib import Path
from typing import Any

_PIECE = 4 << 20


def measured(folder: str, size: int) -> dict[str, Any]:
    """Return bytes a second of a file of `size` bytes, or why there is no such file.

    + folder: on the disk; the file in it is removed
    """
    path = Path(folder) / ".modelrack-acceptance"
    found: dict[str, Any] = {"path": folder, "read": None, "write": None, "error": ""}
    # Aligned, as reading past the page cache wants it. No two pieces are alike: a disk may pack.
    piece = mmap.mmap(-1, _PIECE)
    piece.write(os.urandom(_PIECE))
    try:
        room = os.statvfs(folder)
        if room.f_bavail * room.f_frsize < 4 * size:
            raise OSError(f"less than {4 * size >> 20} MiB are free")
        begun = time.monotonic()
        with path.open("wb", buffering=0) as file:
            for at in range(size // _PIECE):
                piece[:8] = at.to_bytes(8, "little")
                file.write(piece)
            os.fsync(file.fileno())
        found["write"] = size / (time.monotonic() - begun)
        found["read"] = _read(path, piece, size)
    except OSError as error:
        found["error"] = error.strerror or str(error)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
    return found


def _read(path: Path, piece: mmap.mmap, size: int) -> float:
    """Return bytes a second, read past the page cache where the file system can do that."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    begun = time.monotonic()
    try:
        while os.readv(descriptor, [piece]):
            pass
    finally:
        os.close(descriptor)
    return size / (time.monotonic() - begun)
