"""An image onto a disk: all of it, read back and compared, or a disk that does not boot.

What a disk begins with, and boots by, is written last: a disk whose writing was interrupted has no
partitions. Doing it again begins from the start.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deploys.control.line.image import Image
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.quantity import human

_PIECE = 1 << 22
# Bytes at both ends of a disk that a partition table takes, with much to spare.
_HEAD = 1 << 20
# Write out and forget what the kernel has of a disk. Source: linux/fs.h.
_BLKFLSBUF = 0x1261

Tell = Callable[[str, int], None]


def write(image: Image, path: str, size: int, tell: Tell) -> None:
    """Write an image to a disk and compare what is read back; raise Refusal unless it is the same.

    + path, size: of the disk, which was checked
    + tell: called with what is being done, and the bytes that are done
    """
    try:
        # The kernel gives nobody a disk that is mounted or part of something else.
        disk = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        raise Refusal(
            f"{path} cannot be opened: {error.strerror}", "See who uses it: lsblk"
        ) from error
    try:
        _wipe(disk, size)
        head = _copy(image, disk, tell)
        os.fsync(disk)
        os.pwrite(disk, head, 0)
        os.fsync(disk)
        found = _read_back(image, disk, tell)
        if found != image.sha256:
            _wipe(disk, size)
            raise Refusal(
                f"{path} does not give back what was written to it: sha256 {found[:12]}... instead"
                f" of {image.sha256[:12]}...",
                "Take another disk, or another cable; this one does not boot",
            )
    except OSError as error:
        raise Refusal(
            f"{path} cannot be written: {error.strerror}", "Take another disk, or another cable"
        ) from error
    finally:
        os.close(disk)


def _wipe(disk: int, size: int) -> None:
    """Remove both partition tables of a disk, of which the second is at its end."""
    length = min(_HEAD, size)
    for offset in {0, size - length}:
        os.pwrite(disk, bytes(length), offset)
    os.fsync(disk)


def _copy(image: Image, disk: int, tell: Tell) -> bytes:
    """Write all of an image but its head, which is returned."""
    digest, head, at = hashlib.sha256(), b"", 0
    with _unpacked(image) as pieces:
        for piece in pieces:
            digest.update(piece)
            at += len(piece)
            if at > image.size:
                break
            missing = _HEAD - len(head)
            if missing > 0:
                head += piece[:missing]
                piece = piece[missing:]
            _write_all(disk, piece, at - len(piece))
            tell("written", at)
    if at != image.size or digest.hexdigest() != image.sha256:
        raise Refusal(
            f"{image.file} is not the {human(image.size)} that its manifest says",
            "Have the image made again; this disk does not boot",
        )
    return head


@contextmanager
def _unpacked(image: Image) -> Iterator[Iterator[bytes]]:
    command = ["zstd", "--decompress", "--stdout", "--long=31", str(image.file)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise Refusal("zstd is not installed here", "apt-get install zstd") from None
    assert process.stdout
    source = process.stdout
    try:
        yield iter(lambda: source.read(_PIECE), b"")
    finally:
        process.kill()
        process.communicate()


def _write_all(disk: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        count = os.pwrite(disk, rest, offset)
        offset += count
        rest = rest[count:]


def _read_back(image: Image, disk: int, tell: Tell) -> str:
    """Return the sha256 of what the disk itself has, not of what the kernel remembers."""
    fcntl.ioctl(disk, _BLKFLSBUF, 0)
    os.posix_fadvise(disk, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, at = hashlib.sha256(), 0
    while at < image.size:
        piece = os.pread(disk, min(_PIECE, image.size - at), at)
        if not piece:
            break
        digest.update(piece)
        at += len(piece)
        tell("read back", at)
    return digest.hexdigest()
