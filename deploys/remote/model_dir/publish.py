"""The manifest: when a directory needs nothing, and how it becomes complete at one instant."""

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
    """Whether all is as `spec` asks: content, owner, record. Reads no content, changes nothing."""
    found = _holding(spec)
    if not found or found != _current(spec, found):
        return False
    ids = owner_ids(spec.owner)
    return all(belongs_to(spec.directory / each.path, ids) for each in found.files)


def refresh(spec: Spec) -> bool:
    """Whether the content is as `spec` asks; then the owner and the record are so too."""
    found = _holding(spec)
    if not found:
        return False
    for each in found.files:
        take_ownership(spec.directory / each.path, owner_ids(spec.owner))
    _write(spec, spec.directory / manifest.NAME, _current(spec, found))
    return True


def publish(spec: Spec, records: Sequence[Record]) -> None:
    """The merged file has its name, the manifest is there, `.fetch/` has only the lock."""
    _write(spec, _pending(spec), manifest.of(spec, records))
    if not resume(spec):
        raise Failure(
            f"files in {spec.directory} changed while they were fetched: "
            "stop what writes there, run again"
        )


def resume(spec: Spec) -> bool:
    """Whether a pending manifest, perhaps of a killed run, is published now."""
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
    """Nothing is left in `.fetch/` of how a complete directory came to be."""
    for each in state.iterdir():
        # With the headers of its shards a merged file can be given to other machines.
        if each.name != "lock" and each.suffix != ".head":
            each.unlink()


def _holding(spec: Spec) -> Manifest | None:
    found = manifest.load(spec.directory / manifest.NAME)
    if found and found.describes(spec) and not manifest.problems(found, spec.directory):
        return found
    return None


def _current(spec: Spec, found: Manifest) -> Manifest:
    """`found` under the repository and revision that the same content has been resolved to now."""
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
