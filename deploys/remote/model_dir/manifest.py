"""The manifest of a complete model directory, `manifest.json`, which is written last.

It is valid as long as every file in it has the size, modification time and inode that it had when
its digest was verified.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..lib.failure import Failure
from ..lib.spec import ListedFile, Spec

NAME = "manifest.json"
SCHEMA = 1
# What is said of a file that only its content could tell from the one that was proven.
COPIED = "copied, restored or written to since it was proven"


@dataclass(frozen=True)
class Record:
    """One file as it was when its content was verified."""

    path: str
    size: int
    sha256: str
    mtime_ns: int
    inode: int | None = None


@dataclass(frozen=True)
class Manifest:
    """The content of a complete model directory, and where it came from.

    `files` are in the directory; `sources` is the listing, which has the shards of a merged file.
    """

    model: str
    repository: str
    revision: str
    files: tuple[Record, ...]
    sources: tuple[ListedFile, ...]
    merged: bool

    def describes(self, spec: Spec) -> bool:
        """Return whether this is the manifest of the files that `spec` asks for."""
        outputs = {record.path for record in self.files} - {file.path for file in self.sources}
        wanted = {spec.output} if spec.output else set()
        return set(self.sources) == set(spec.files) and outputs == wanted

    def render(self) -> bytes:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1).encode() + b"\n"


def record(directory: Path, path: str, sha256: str) -> Record:
    """Return the Record of a file whose content has just been verified."""
    found = (directory / path).stat()
    return Record(path, found.st_size, sha256, found.st_mtime_ns, found.st_ino)


def of(spec: Spec, files: Sequence[Record]) -> Manifest:
    """Return the Manifest of `spec` with `files` in place."""
    named = next((source for source in spec.sources if source.repository), None)
    return Manifest(
        spec.model,
        named.repository if named else "",
        named.revision if named else "",
        tuple(sorted(files, key=lambda each: each.path)),
        spec.files,
        spec.output is not None,
    )


def load(path: Path) -> Manifest | None:
    """Return the Manifest in `path`, None if there is none; raise Failure if it cannot be read."""
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
        if value["schema"] != SCHEMA:
            raise Failure(
                f"{path} has schema {value['schema']}, known is {SCHEMA}: use a newer modelrack"
            )
        return Manifest(
            value["model"],
            value["repository"],
            value["revision"],
            tuple(Record(**each) for each in value["files"]),
            tuple(ListedFile(**each) for each in value["sources"]),
            value["merged"],
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path} is damaged ({error}): delete it and fetch again") from error


def holds(directory: Path, path: str) -> bool:
    """Return whether `directory` is complete and `path` is among its files; no content is read."""
    found = load(directory / NAME)
    named = found and any(each.path == path for each in found.files)
    return bool(found and named and not problems(found, directory))


def problems(manifest: Manifest, directory: Path) -> list[str]:
    """Return what is no longer as recorded; empty if the manifest is valid. No content is read."""
    return [text for _, text in changes(manifest, directory)]


def are_copied(problems: Sequence[str]) -> bool:
    """Whether `problems` are such that reading the files may show that there are none."""
    return bool(problems) and all(each.endswith(COPIED) for each in problems)


def changes(manifest: Manifest, directory: Path) -> list[tuple[Record, str]]:
    """Return the files that are not as recorded, with a sentence about each."""
    return [(each, text) for each in manifest.files if (text := _changed(each, directory))]


def _changed(each: Record, directory: Path) -> str:
    try:
        found = (directory / each.path).stat()
    except OSError as error:
        return f"{each.path}: {error.strerror}"
    if found.st_size != each.size:
        return f"{each.path}: {found.st_size} bytes, recorded {each.size}"
    if found.st_mtime_ns != each.mtime_ns or each.inode not in (None, found.st_ino):
        return f"{each.path}: {COPIED}"
    return ""
