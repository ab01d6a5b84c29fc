"""A small image as deploys/image.py makes one, and disks to write it to: loop devices."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploys.control.image import described
from tests.lab.process import run

MIB = 1 << 20


def publish(folder: Path, key: Path, host_class: str = "sandbox", size: int = 24 * MIB) -> Path:
    """Make an image, signed with a key; returns its compressed file."""
    folder.mkdir(parents=True, exist_ok=True)
    raw, file = folder / "tiny.raw", folder / "tiny.raw.zst"
    # What repeats compresses, and no piece of it is like another one.
    pieces = (hashlib.sha256(str(number).encode()).digest() * 2048 for number in range(size >> 16))
    raw.write_bytes(b"".join(pieces))
    run(["zstd", "--quiet", "--force", str(raw), "-o", str(file)])
    disk = {"raw": described.measured(raw), "zst": described.measured(file)}
    told = {
        "schema": 1,
        "name": "tiny",
        "class": host_class,
        "commit": "c" * 40,
        "models": ["tiny-qwen2"],
        **disk,
        "disks": {"tiny": disk},
    }
    (folder / "tiny.manifest.json").write_text(json.dumps(told))
    raw.unlink()
    sign(folder, key)
    return file


def sign(folder: Path, key: Path) -> None:
    """Write SHA256SUMS of what is there, and sign it."""
    files = [path for path in folder.iterdir() if not path.name.startswith(described.SUMS)]
    described.sign_all(folder, files, key)


@contextmanager
def disk(file: Path, size: int = 32 * MIB) -> Iterator[str]:
    """A disk of this size, with something on it; the path of its device."""
    with file.open("wb") as content:
        content.write(b"before" * 1000)
        content.truncate(size)
        content.seek(size - 512)
        content.write(b"a table" * 64)
    device = run(["losetup", "--find", "--show", "--partscan", str(file)]).strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def content(device: str, size: int | None = None) -> str:
    """The sha256 of what a disk has, all of it or its beginning."""
    digest = hashlib.sha256()
    fd = os.open(device, os.O_RDONLY)
    try:
        end = size if size is not None else os.lseek(fd, 0, os.SEEK_END)
        for at in range(0, end, MIB):
            digest.update(os.pread(fd, min(MIB, end - at), at))
    finally:
        os.close(fd)
    return digest.hexdigest()
