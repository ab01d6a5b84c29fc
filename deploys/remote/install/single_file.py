"""Download of a single file, verified by its sha256: complete, or not there."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

from ..download.http import RangeRefused
from ..download.source import RetryPolicy
from ..lib.durable import rename
from ..lib.failure import Failure
from ..lib.folders import make_directories
from ..lib.lock import Taken, held
from . import artifact
from .artifact import Artifact, WrongArchive


def parse(value: dict[str, Any]) -> Artifact:
    """Return the Artifact for `file` in `value`; raise Failure if it has no sha256."""
    if not value.get("sha256"):
        raise Failure(f"{value.get('url')}: no sha256 is given: pin it first")
    return artifact.parse({**value, "directory": value["file"], "tree_sha256": None})


def install(
    wanted: Artifact, *, patience: RetryPolicy | None = None, stop: threading.Event | None = None
) -> None:
    """Install the pinned content as `wanted.directory`, which is a file here.

    A file that has this content already is left alone.
    """
    file = wanted.directory
    make_directories(file.parent, (-1, -1))
    try:
        with held(artifact.sidecar_path(wanted, "lock")):
            if not (file.is_file() and _sha256(file) == wanted.sha256):
                _fetch(wanted, patience or RetryPolicy(), stop or threading.Event())
    except Taken:
        raise Failure(f"{file} is being fetched by another process: wait for it") from None
    artifact.sidecar_path(wanted, "lock").unlink(missing_ok=True)


def _fetch(wanted: Artifact, patience: RetryPolicy, stop: threading.Event) -> None:
    part = artifact.sidecar_path(wanted, "part")
    resumed = part.exists()
    try:
        artifact.download(wanted, part, patience, stop)
    except (WrongArchive, RangeRefused):
        part.unlink(missing_ok=True)
        if not resumed:
            raise
        # What was there may be the beginning of another version.
        artifact.download(wanted, part, patience, stop)
    part.chmod(0o644)
    rename(part, wanted.directory)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
