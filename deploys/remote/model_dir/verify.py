"""Verification of a model directory by reading every byte; file times do not matter.

A CPU core hashes more slowly than a good disk reads, so all cores are used: two threads for each,
one of which may wait for the disk. A merged file is divided among them by its shards: the header of
each is kept, the rest is a stretch of the file, and the hub has published the digest of both
together.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from ..formats import gguf
from ..formats.gguf_layout import shards_of
from ..lib.content import OnBytes, no_callback, sha256_of, update_from
from ..lib.failure import Failure
from ..lib.spec import ListedFile
from ..merge.shards import kept
from .manifest import Manifest, Record


@dataclass(frozen=True)
class _Stretch:
    """Bytes `start` to `stop` of the merged file, which make `sha256` behind `head`.

    `shard` is whose bytes they are, or which one they follow; None for the header.
    """

    shard: ListedFile | None
    head: bytes
    start: int
    stop: int
    sha256: str


@dataclass(frozen=True)
class Finding:
    """What reading a file came to: `problem` is a sentence, empty where it is what was recorded.

    `sound` are the shards that are right all the same in a merged file that is not.
    """

    record: Record
    problem: str = ""
    sound: tuple[ListedFile, ...] = ()


def problems(found: Manifest, directory: Path, on_bytes: OnBytes) -> list[str]:
    """Return a sentence about each file whose content differs from what was recorded.

    `on_bytes` is called with the number of bytes of each read.
    """
    findings = findings_of(found.files, found, directory, on_bytes)
    return [each.problem for each in findings if each.problem]


def findings_of(
    records: Sequence[Record], found: Manifest, directory: Path, on_bytes: OnBytes
) -> Generator[Finding, None, None]:
    """One for each of `records`, which are of `found`, as soon as it is known."""
    merged, stretches = _shared_out(found, directory)
    if merged not in records:
        merged, stretches = None, ()
    pool = ThreadPoolExecutor(threads())
    try:
        wholes = {
            pool.submit(_problem, each, directory, on_bytes): each
            for each in records
            if each is not merged
        }
        path = directory / merged.path if merged else directory
        parts = {each: pool.submit(_is_same, path, each, on_bytes) for each in stretches}
        for done in as_completed(wholes):
            yield Finding(wholes[done], done.result())
        if merged:
            wrong = {each.shard for each, same in parts.items() if not same.result()}
            # A kept header may be what is damaged: the file as a whole has the last word.
            problem = _problem(merged, directory, no_callback) if wrong else ""
            shards = [each.shard for each in stretches if each.head and each.shard]
            sound = [each for each in shards if each not in wrong] if problem else []
            yield Finding(merged, problem, tuple(sound))
    finally:
        pool.shutdown(cancel_futures=True)


def threads() -> int:
    """How many read and hash side by side."""
    return 2 * len(os.sched_getaffinity(0))


def _problem(each: Record, directory: Path, on_bytes: OnBytes) -> str:
    try:
        found = sha256_of(directory / each.path, on_bytes)
    except OSError as error:
        return f"{each.path}: {error.strerror}"
    if found == each.sha256:
        return ""
    return f"{each.path}: sha256 expected {each.sha256}, found {found}"


def _shared_out(found: Manifest, directory: Path) -> tuple[Record | None, Sequence[_Stretch]]:
    """Return the record of the merged file and stretches that cover it; (None, ()) if unknown."""
    sources = {source.path for source in found.sources}
    merged = [each for each in found.files if each.path not in sources]
    if not found.merged or len(merged) != 1:
        return None, ()
    try:
        shards, _ = shards_of(found.sources)
        heads, layout = kept(directory, shards)
        size = (directory / merged[0].path).stat().st_size
    except (OSError, Failure, gguf.NotGguf, gguf.HeaderIncomplete):
        return None, ()  # merged from pieces, say, which have no headers
    if layout.size != size:
        return None, ()

    def stretches() -> Iterator[_Stretch]:
        yield _Stretch(None, b"", 0, len(layout.header), hashlib.sha256(layout.header).hexdigest())
        ends = [*layout.places[1:], layout.size]
        for file, head, start, end in zip(shards, heads, layout.places, ends):
            stop = start + file.size - len(head)
            yield _Stretch(file, head, start, stop, file.sha256)
            yield _Stretch(file, b"", stop, end, hashlib.sha256(bytes(end - stop)).hexdigest())

    return merged[0], [*stretches()]


def _is_same(path: Path, stretch: _Stretch, on_bytes: OnBytes) -> bool:
    digest = hashlib.sha256(stretch.head)
    try:
        with path.open("rb", buffering=0) as file:
            update_from(digest, file.fileno(), stretch.start, stretch.stop, on_bytes)
    except (OSError, EOFError):
        return False
    return digest.hexdigest() == stretch.sha256
