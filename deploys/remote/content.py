"""What a piece of content is: its digest, and what it looks like when it is the wrong one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

PIECE = 1 << 20


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """The sha256 of a file in hex; `on_bytes` hears how many bytes each read gave."""
    digest = hashlib.sha256()
    buffer = bytearray(PIECE)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
            if on_bytes:
                on_bytes(count)
    return digest.hexdigest()


def update_from(digest: hashlib._Hash, fd: int, start: int, stop: int) -> None:
    """`digest` has taken in bytes `start` to `stop` of `fd`; EOFError when they are missing."""
    buffer = memoryview(bytearray(PIECE))
    while start < stop:
        count = os.preadv(fd, [buffer[: min(PIECE, stop - start)]], start)
        if not count:
            raise EOFError(start)
        digest.update(buffer[:count])
        start += count


def looks_like(beginning: bytes) -> str:
    """A guess, for an error message, at what content with these first bytes is; may be empty."""
    if beginning.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself"
    if beginning.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return "an HTML page, perhaps a login or error page"
    if beginning.lstrip().startswith((b"{", b"<?xml")):
        return "a JSON or XML answer, perhaps an error"
    if beginning and not beginning.strip(b"\0"):
        return "zero bytes"
    return ""
