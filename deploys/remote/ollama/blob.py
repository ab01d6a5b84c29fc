"""Model files made available as blobs in Ollama's folder, without a second copy if possible."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path

from ..lib import space
from ..lib.content import PIECE, sha256_of
from ..lib.durable import rename, write_all
from ..lib.failure import Failure
from ..lib.progress import Progress
from ..lib.spec import take_ownership

FICLONE = 0x40049409


def copied(source: Path, blob: Path) -> str:
    """How `blob` lies now, "" where it is the very file: that is proven where it is."""
    found = blob.stat()
    return "" if source.samefile(blob) else f"{found.st_mtime_ns} {found.st_ino}"


def link_or_copy(
    source: Path, digest: str, blob: Path, ids: tuple[int, int], *, may_copy: bool
) -> None:
    """`source`, whose content has this digest, is also `blob`, and `ids` can read it there.

    By hard link; else by sharing its blocks; else as a copy, if that is allowed. A copy that is
    there is read before it is believed.
    """
    if _is_linked(source, digest, blob):
        return
    _check_readable(source, ids)
    part = blob.with_name(f"{blob.name}-partial-modelrack")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
        rename(part, blob)
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
    with source.open("rb") as file:
        fd = os.open(
            part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644
        )
        try:
            if _shares(fd, file.fileno()):
                print(f"{blob}: a clone of {source}, which takes no room", flush=True)
            else:
                _copy(source, file.fileno(), digest, part, fd, may_copy=may_copy)
            os.fchmod(fd, 0o644)
            os.fsync(fd)
        except BaseException:
            part.unlink()
            raise
        finally:
            os.close(fd)
    take_ownership(part, ids)
    rename(part, blob)


def _is_linked(source: Path, digest: str, blob: Path) -> bool:
    """Return whether `blob` is the file itself, or a copy of it on another file system."""
    try:
        found, own = blob.stat(), source.stat()
    except FileNotFoundError:
        return False
    if found.st_dev == own.st_dev or found.st_size != own.st_size:
        return found.st_size == own.st_size and found.st_ino == own.st_ino
    progress = Progress("prove", found.st_size)
    return sha256_of(blob, progress.advance) == digest


def _shares(target: int, source: int) -> bool:
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return False
    return True


def _copy(source: Path, fd: int, expected: str, part: Path, target: int, *, may_copy: bool) -> None:
    size = os.fstat(fd).st_size
    if not may_copy:
        there, here = space.mount_point(part), space.mount_point(source)
        raise Failure(
            f"{source} ({here}) and {part.parent} ({there}) are not on one file system: a second "
            f"copy would take {space.human(size)}; keep Ollama's models on {here}, or allow the "
            "copy"
        )
    space.require(part.parent, size, 1)
    print(f"{source}: copied to {part.parent}, {space.human(size)} once more", flush=True)
    digest, at = hashlib.sha256(), 0
    while data := os.pread(fd, PIECE, at):
        write_all(target, data, at)
        digest.update(data)
        at += len(data)
    if digest.hexdigest() != expected:
        raise Failure(
            f"{source}: sha256 expected {expected}, found {digest.hexdigest()}: fetch the model "
            "again"
        )


def _check_readable(source: Path, ids: tuple[int, int]) -> None:
    """Raise Failure if `ids` cannot read `source`: a hard link has its owner and mode."""
    found, (uid, gid) = source.stat(), ids
    mode = found.st_mode
    own = mode & 0o400 if found.st_uid == uid else mode & 0o040 if found.st_gid == gid else 0
    if not (mode & 0o004 or own or uid in (-1, 0)):
        raise Failure(f"user {uid} cannot read {source}: chmod a+r {source}")
