"""Digests of content, and guesses at what wrong content is."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

PIECE = 1 << 20

# Hears how many bytes each read gave.
OnBytes = Callable[[int], None]


def no_callback(count: int) -> None:
    """Do nothing; the default callback."""


def sha256_of(path: Path, on_bytes: OnBytes = no_callback) -> str:
    """Return the sha256 of a file in hex."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer = memoryview(bytearray(PIECE))
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            on_bytes(count)
    return digest.hexdigest()


def update_from(
    digest: hashlib._Hash, fd: int, start: int, stop: int, on_bytes: OnBytes = no_callback
) -> None:
    """Update `digest` with bytes `start` to `stop` of `fd`; raise EOFError if any are missing."""
    os.posix_fadvise(fd, start, stop - start, os.POSIX_FADV_SEQUENTIAL)
    buffer = memoryview(bytearray(min(PIECE, stop - start)))
    while start < stop:
        count = os.preadv(fd, [buffer[: stop - start]], start)
        if not count:
            raise EOFError(start)
        digest.update(buffer[:count])
        on_bytes(count)
        start += count


def looks_like(beginning: bytes) -> str:
    """Return a guess, for an error message, at what content begins like this; may be empty."""
    if beginning.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself"
    if beginning.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "an HTML page, perhaps a login or error page"
    if beginning.lstrip().startswith((b"{", b"<?xml")):
        return "a JSON or XML answer, perhaps an error"
    if beginning and not beginning.strip(b"\0"):
        return "zero bytes"
    return ""
