"""The digest of an unpacked tree, to pin archives that a host repacks with the same content."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from ..lib.content import sha256_of
from ..lib.failure import Failure


def tree_sha256(path: Path) -> str:
    """Return the sha256, in hex, over one line per entry, sorted by path as bytes.

    A regular file is `<644|755> <sha256 of content> <path>`, a symbolic link `120000 <sha256 of
    target> <path>`; empty directories do not count, as in git.
    """
    entries: list[tuple[bytes, bytes]] = []
    for folder, directories, files in os.walk(path, onerror=_refuse):
        for name in [*files, *directories]:
            each = Path(folder, name)
            line = _line(each)
            if line:
                entries.append((os.fsencode(each.relative_to(path)), line))
    digest = hashlib.sha256()
    for name_bytes, line in sorted(entries):
        digest.update(line + b" " + name_bytes + b"\n")
    return digest.hexdigest()


def _line(path: Path) -> bytes:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return b"120000 " + hashlib.sha256(os.fsencode(path.readlink())).hexdigest().encode()
    if stat.S_ISREG(mode):
        return (b"755 " if mode & stat.S_IXUSR else b"644 ") + sha256_of(path).encode()
    if stat.S_ISDIR(mode):
        return b""
    raise Failure(f"{path} is neither a file, a directory nor a link: remove it")


def _refuse(error: OSError) -> None:
    raise Failure(f"{error.filename}: {error.strerror}: the tree cannot be read") from error
