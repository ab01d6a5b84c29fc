"""Writes that survive a crash: a file is either the old or the new one, never between."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path


def replace(
    path: Path,
    content: bytes,
    *,
    mode: int = 0o644,
    group: int | None = None,
    sync: bool = True,
) -> None:
    """Replace `path` by a file with `content` and `mode`; a reader sees the old or the new file.

    + group: number of the group that it is of; None: that of this process

    With `sync` this also holds after a power cut.
    """
    # The process id keeps two writers apart; a leftover of a killed one is overwritten some day.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            if group is not None:
                os.fchown(fd, -1, group)
            os.fchmod(fd, mode)  # the umask must not decide
            write_all(fd, content)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_directory(path.parent)


def rename(old: Path, new: Path) -> None:
    """Rename `old` to `new`, so that it survives a power cut."""
    old.replace(new)
    sync_directory(new.parent)


def sync_directory(path: Path) -> None:
    """Sync a directory, so that the names in it survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(path: Path) -> None:
    """Sync the file system of `path`: everything written so far survives a power cut."""
    # One call where a tree of small files would need thousands of fsyncs; Python has no syncfs.
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | memoryview, offset: int | None = None) -> None:
    """Write all of `data`, at byte `offset` or at the current position."""
    rest = memoryview(data)
    while rest:
        if offset is None:
            count = os.write(fd, rest)
        else:
            count = os.pwrite(fd, rest, offset)
            offset += count
        rest = rest[count:]
