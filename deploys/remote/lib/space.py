"""Disk space: checked before the first byte is written, and reported when it runs out."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from .failure import Failure

RESERVE = 0.05
ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def human(count: float) -> str:
    """Return a number of bytes in decimal units, as disks are sold: `1.5 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def require(path: Path, size: int, inodes: int) -> None:
    """Raise Failure unless `path` has room for `size` bytes plus 5 % and `inodes` new files."""
    place = nearest(path)
    found = os.statvfs(place)
    mount = mount_point(place)
    if size and found.f_flag & os.ST_RDONLY:
        raise Failure(
            f"{mount} is read-only, {path} cannot be written: remount it, or take another directory"
        )
    needed, free = int(size * (1 + RESERVE)), found.f_bavail * found.f_frsize
    if needed > free:
        raise Failure(
            f"no space on {mount}: {human(needed)} needed for {path} (with 5 % reserve), "
            f"{human(free)} free, "
            f"{human(needed - free)} short: make room or choose another directory"
        )
    # A file system without a fixed inode table reports none at all.
    if found.f_files and inodes > found.f_favail:
        raise Failure(
            f"no inodes on {mount}: {inodes} needed for {path}, {found.f_favail} free: "
            "remove small files there"
        )


def explain(error: OSError, path: Path) -> Failure | None:
    """Return a Failure that explains an error of the disk at `path`; None for another error."""
    if error.errno == errno.EIO:
        return Failure(
            f"the disk of {path} fails: {error.strerror}: look at journalctl -k."
            " What was proven is kept: replace or mend the disk and run again"
        )
    if error.errno not in ROOM_ERRORS:
        return None
    place = nearest(path)
    found, mount = os.statvfs(place), mount_point(place)
    if error.errno == errno.EROFS:
        return Failure(
            f"{mount} is read-only, {path} cannot be written: check the disk and remount it"
        )
    quota = "quota reached" if error.errno == errno.EDQUOT else "no space left"
    return Failure(
        f"{quota} on {mount} while writing {path}: {human(found.f_bavail * found.f_frsize)} "
        f"and {found.f_favail} inodes free; what is there is kept: make room and run again"
    )


def allocate(fd: int, size: int) -> None:
    """Make the file `fd` `size` bytes long and reserve its blocks if possible; new bytes are zero.

    Raise OSError if there is no room for them.
    """
    # Not os.posix_fallocate: where the file system cannot, the C library writes into every block
    # instead, which takes hours on a network share.
    libc = ctypes.CDLL(None, use_errno=True)
    if os.fstat(fd).st_size != size:
        os.ftruncate(fd, size)
    if not size or os.fstat(fd).st_blocks * 512 >= size:
        return
    if libc.fallocate(fd, 0, ctypes.c_int64(0), ctypes.c_int64(size)) != 0:
        number = ctypes.get_errno()
        if number in ROOM_ERRORS:
            raise OSError(number, os.strerror(number))


def allocated(path: Path) -> int:
    """Return the bytes that `path` takes on disk; 0 if it does not exist."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def nearest(path: Path) -> Path:
    """Return `path` itself or its nearest parent that exists."""
    while not path.exists():
        path = path.parent
    return path


def mount_point(path: Path) -> Path:
    """Return where the file system that holds `path` is mounted."""
    path = path.resolve()
    while not path.is_mount():
        path = path.parent
    return path
