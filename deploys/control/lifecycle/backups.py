"""Backups of machines, on the operator's computer: one file each."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site


def file_of(folder: Path, name: str) -> Path:
    """Return where the backup of a machine lies."""
    return folder / f"{name.replace('/', '_')}.tar.gz"


def of(site: Site, name: str) -> Path | None:
    """Return the backup that a machine is restored from; None where there is none.

    Raise Refusal if the site names a folder that is not there, or the file is no backup.
    """
    if site.restore is None:
        return None
    if not site.restore.is_dir():
        raise Refusal(
            f"There is no folder {site.restore}, which restore of the site names",
            "Name the folder that deploys/backup.py has written, or take restore out",
        )
    path = file_of(site.restore, name)
    if not path.exists():
        return None
    try:
        with tarfile.open(path) as archive:
            archive.getmembers()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise Refusal(
            f"{path} is no whole backup: {error}", "Take another one, or move this file away"
        ) from error
    return path


def names(path: Path) -> set[str]:
    """Return the paths that a backup has."""
    with tarfile.open(path) as archive:
        return {f"/{each}" for each in archive.getnames()}


def sha256(path: Path) -> str:
    """Return the digest of a file that has just arrived."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
