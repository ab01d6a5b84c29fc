"""A bundle on several disks, or only what is new in it since an older one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from deploys.control.bundle.seal import MANIFEST, SIGNATURE, listed
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.quantity import human


def split(bundle: Path, output: Path, since: Path | None, size: int | None) -> list[Path]:
    """Put a sealed bundle into folders for disks, and return these.

    Each has the manifest of the whole. All of them copied into one folder are the bundle, on top of
    the older one where that is.

    + since: manifest of the older bundle; its files are left out
    + size: bytes that fit on a disk; None for one folder

    Raise Refusal if a file fits on no disk, or the output is there already.
    """
    if not (bundle / SIGNATURE).exists():
        raise Refusal(f"{bundle} is not sealed", "Sign it with: python -m deploys.seal sign")
    before = listed(since) if since else {}
    now = listed(bundle / MANIFEST)
    names = [name for name, digest in now.items() if before.get(name) != digest]
    folders = []
    for number, part in enumerate(_parts(bundle, names, size), 1):
        folder = output / f"disk-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            raise Refusal(f"{folder} is there already", "Name an empty folder") from None
        for name in (*part, MANIFEST, SIGNATURE):
            _put(bundle / name, folder / name)
        folders.append(folder)
    return folders


def _parts(bundle: Path, names: list[str], size: int | None) -> Iterator[list[str]]:
    part: list[str] = []
    used = 0
    for name in names:
        needed = (bundle / name).stat().st_size
        if size is not None and needed > size:
            raise Refusal(
                f"{name} has {human(needed)}, and a disk {human(size)}", "Use larger disks"
            )
        if part and size is not None and used + needed > size:
            yield part
            part, used = [], 0
        part.append(name)
        used += needed
    yield part


def _put(source: Path, target: Path) -> None:
    """Link a file where that is possible, as weights are large; copy it otherwise."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
