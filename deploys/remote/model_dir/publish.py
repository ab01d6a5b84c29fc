"""How a model directory becomes complete atomically, and the check whether it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace as altered
from pathlib import Path

from ..lib.durable import rename, replace
from ..lib.failure import Failure
from ..lib.spec import Spec, belongs_to, owner_ids, take_ownership
from ..merge.shards import part_of
from . import manifest
from .manifest import Manifest, Record


def complete(spec: Spec) -> bool:
    """Return whether content, owner and manifest are all as `spec` asks.

    No content is read and nothing is changed.
    """
    found = _valid_manifest(spec)
    if not found or found != _current(spec, found):
        return False
    ids = owner_ids(spec.owner)
    return all(belongs_to(spec.directory / each.path, ids) for each in found.files)


def refresh(spec: Spec) -> bool:
    """Update owner and manifest if the content is as `spec` asks; return whether it is."""
    found = _valid_manifest(spec)
    if not found:
        return False
    for each in found.files:
        take_ownership(spec.directory / each.path, owner_ids(spec.owner))
    _write(spec, spec.directory / manifest.NAME, _current(spec, found))
    return True


def publish(spec: Spec, records: Sequence[Record]) -> None:
    """Give the merged file its name, write the manifest and clear `.fetch/`.

    Raise Failure if files have changed while they were fetched.
    """
    _write(spec, _pending(spec), manifest.of(spec, records))
    if not resume(spec):
        raise Failure(
            f"files in {spec.directory} changed while they were fetched: "
            "stop what writes there, run again"
        )


def resume(spec: Spec) -> bool:
    """Publish a pending manifest, perhaps of a killed run; return whether that was possible."""
    pending, part = _pending(spec), part_of(spec)
    found = manifest.load(pending)
    if not found or not found.describes(spec):
        return False
    output = [each for each in found.files if each.path == spec.output]
    if output and part.exists():
        waiting = altered(found, files=(altered(output[0], path=f"{spec.output}.part"),))
        if not manifest.problems(waiting, spec.directory):
            rename(part, spec.directory / output[0].path)
    if manifest.problems(found, spec.directory):
        pending.unlink()
        return False
    rename(pending, spec.directory / manifest.NAME)
    clear(pending.parent)
    return True


def clear(state: Path) -> None:
    """Remove everything from `.fetch/` but the lock and the headers of shards."""
    for each in state.iterdir():
        # With the headers of its shards a merged file can be given to other machines.
        if each.name != "lock" and each.suffix != ".head":
            each.unlink()


def _valid_manifest(spec: Spec) -> Manifest | None:
    found = manifest.load(spec.directory / manifest.NAME)
    if found and found.describes(spec) and not manifest.problems(found, spec.directory):
        return found
    return None


def _current(spec: Spec, found: Manifest) -> Manifest:
    """Return `found` with the repository and revision that the same content resolves to now."""
    if not any(source.repository for source in spec.sources):
        return altered(found, model=spec.model)
    return manifest.of(spec, found.files)


def _pending(spec: Spec) -> Path:
    return spec.directory / ".fetch" / manifest.NAME


def _write(spec: Spec, path: Path, content: Manifest) -> None:
    replace(path, content.render())
    ids = owner_ids(spec.owner)
    if ids != (-1, -1):
        os.chown(path, *ids)
