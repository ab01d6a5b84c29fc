"""Merge shards or pieces on this machine into one verified GGUF file in a model directory.

Every byte is read once, in order, and written once. The state of an interrupted run is kept in
`.fetch/` beside the file; the file gets its name and its first bytes only when all of it is
verified.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from ..formats.gguf_layout import SHARD_NAME
from ..formats.shard_set import Part
from ..lib import space
from ..lib.durable import replace, sync_directory, write_all
from ..lib.failure import Failure, Stopped
from ..lib.folders import make_directories
from ..lib.journal import Journal, JournalEntry
from ..lib.lock import Taken, held
from ..lib.progress import Progress
from ..lib.spec import ListedFile, SourceSpec, Spec
from ..model_dir import manifest, prove, publish
from ..model_dir.manifest import Manifest, Record
from . import merge_state
from .merge_state import MergeState
from .pipe import Pipe
from .shards import head_of

SYNC_BYTES = 256 << 20


def join(
    first: Path,
    output: Path,
    *,
    digests: Mapping[str, str] | None = None,
    free: bool = False,
    stop: threading.Event | None = None,
    sync_bytes: int = SYNC_BYTES,
) -> Manifest | None:
    """Merge `first` and the parts after it into `output`.

    Return the manifest, or None if `output` was complete before.

    `digests`, by file name, are those that parts or the output must have; those in a manifest
    beside the parts are known anyway. With `free` each part is removed as soon as its bytes are
    verified and safe on disk: there is never more than the output and one part.
    """
    first, output = first.absolute(), output.absolute()
    state, known = output.parent / ".fetch", digests or {}
    try:
        # What cannot become one file is refused before anything is written.
        work = None if state.is_dir() else merge_state.begin(first, output, known, free=free)
        make_directories(output.parent, (-1, -1))
        state.mkdir(mode=0o700, exist_ok=True)
        with held(state / "lock"):
            if not (state / merge_state.RECORD).exists():
                prove.refresh(output, stop)
            if manifest.holds(output.parent, output.name):
                publish.clear(state)  # the run that made it may have been killed at that
                return None
            if not work:
                work = merge_state.load(state, output, known)
            if not work:
                work = merge_state.begin(first, output, known, free=free)
                merge_state.forget(state)
            if not publish.resume(_pending(work, state)):
                _check_room(work, free)
                merge_state.save(state, work)
                if not work.part.exists():
                    merge_state.forget(state)
                if free:
                    _remove_source_manifests(work)
                records = _Joining(work, state, free, stop or threading.Event(), sync_bytes).run()
                publish.publish(*records)
        return manifest.load(output.parent / manifest.NAME)
    except Taken:
        raise Failure(
            f"another fetch or merge is writing to {output.parent}: wait for it to end, then run "
            "again"
        ) from None
    except OSError as error:
        raise space.explain(error, output.parent) or error from error


class _Joining:
    def __init__(
        self, work: MergeState, state: Path, free: bool, stop: threading.Event, sync_bytes: int
    ) -> None:
        self._work, self._whole = work, work.whole
        self._free, self._stop, self._sync_bytes = free, stop, sync_bytes
        self._progress = Progress("merge", sum(part.size for part in self._whole.parts))
        self._found: list[str] = []
        self._there = Journal(state / merge_state.REACHED)

    def run(self) -> tuple[Spec, list[Record]]:
        """Write and sync the whole file, still under its `.part` name.

        Return the spec and the records to be published.
        """
        work, part = self._work, self._work.part
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            if self._free:
                os.ftruncate(fd, self._whole.size)  # its blocks come as those of the parts go
            else:
                space.allocate(fd, self._whole.size)
            with Pipe(fd, self._whole.header) as pipe:
                for each in self._whole.parts:
                    self._found.append(self._copy(pipe, each))
                digest = pipe.finish()
            self._check_output(digest)
            write_all(fd, self._whole.header, 0)
            os.fchmod(fd, 0o644)
            os.fsync(fd)
            found = os.fstat(fd)
        finally:
            self._progress.tick(last=True)
            self._there.close()
            os.close(fd)
        record = Record(work.output.name, found.st_size, digest, found.st_mtime_ns, found.st_ino)
        spec = self._spec()
        for each, file in zip(self._whole.parts, spec.files):
            if SHARD_NAME.fullmatch(file.path):
                replace(head_of(spec.directory, file), each.header)
        return spec, [record, *work.others]

    def _copy(self, pipe: Pipe, part: Part) -> str:
        """Copy one part into the file and return its digest."""
        known = sum(stop - start for start, stop in self._there.get(part.path.name).ranges)
        digest = hashlib.sha256(part.header)
        at = len(part.header)
        self._progress.add(at)
        while at < known:
            count = pipe.skip(part.place + at - len(part.header), known - at, digest)
            at = self._passed(pipe, at, count, part)
        if at < part.size:
            self._read(pipe, part, at, digest)
        if part.padding:
            pipe.pad(part.padding)
        found = digest.hexdigest()
        self._prove(pipe, part, found)
        return found

    def _read(self, pipe: Pipe, part: Part, at: int, digest: hashlib._Hash) -> None:
        fd = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(fd, at, 0, os.POSIX_FADV_SEQUENTIAL)
            due = at + self._sync_bytes
            while at < part.size:
                at = self._passed(pipe, at, pipe.copy(fd, at, part.size - at, digest), part)
                if at >= due or self._stop.is_set():
                    due = at + self._sync_bytes
                    self._note(pipe, part, at)
                if self._stop.is_set():
                    pipe.finish()
                    raise Stopped
        finally:
            os.close(fd)

    def _passed(self, pipe: Pipe, at: int, count: int, part: Part) -> int:
        if not count:
            raise Failure(f"{part.path} became shorter while it was read: stop what writes there")
        self._progress.advance(count)
        return at + count

    def _note(self, pipe: Pipe, part: Part, at: int) -> None:
        pipe.then(lambda: self._there.put({part.path.name: JournalEntry(((0, at),))}))

    def _prove(self, pipe: Pipe, part: Part, found: str) -> None:
        expected = self._work.digests.get(part.path.name, found)
        if found != expected:
            pipe.finish()
            self._there.forget(part.path.name)
            raise Failure(
                f"{part.path}: sha256 expected {expected}, found {found}: fetch this file again, "
                "then run the same merge again; the parts before it are kept"
            )

        def safe() -> None:
            self._there.put({part.path.name: merge_state.all_of(part)})
            if self._free and part.path.exists():
                part.path.unlink()
                sync_directory(part.path.parent)

        pipe.then(safe)
        if self._free:
            pipe.finish()  # the next part is not begun while this one still takes room

    def _check_output(self, digest: str) -> None:
        expected = self._work.digests.get(self._work.output.name, digest)
        if digest != expected:
            raise Failure(
                f"{self._work.output}: sha256 expected {expected}, found {digest}: the parts are "
                f"not those of this file; {self._work.part} was not given its name, remove it"
            )

    def _spec(self) -> Spec:
        digests = zip(self._whole.parts, self._found)
        files = [ListedFile(part.path.name, part.size, digest) for part, digest in digests]
        files += [ListedFile(each.path, each.size, each.sha256) for each in self._work.others]
        return _spec_of(self._work, tuple(files))


def _pending(work: MergeState, state: Path) -> Spec:
    """Return the spec that a run which died while publishing was about to publish."""
    found = manifest.load(state / manifest.NAME)
    return _spec_of(work, found.sources if found else ())


def _spec_of(work: MergeState, files: tuple[ListedFile, ...]) -> Spec:
    # No place to fetch from; it carries the repository's name into the manifest.
    origin = SourceSpec("directory", str(work.output.parent), work.repository, work.revision)
    return Spec(work.model, work.output.parent, (origin,), files, work.output.name)


def _remove_source_manifests(work: MergeState) -> None:
    """Remove manifests beside parts that will be removed: their folders will not be complete."""
    for folder in {part.path.parent for part in work.whole.parts} - {work.output.parent}:
        (folder / manifest.NAME).unlink(missing_ok=True)


def _check_room(work: MergeState, free: bool) -> None:
    """Raise Failure unless there is room for the file.

    Room for one part is enough if parts are removed as they are copied.
    """
    missing = max(0, work.whole.size - space.allocated(work.part))
    there = [part for part in work.whole.parts if part.path.exists()]
    same = {part.path.stat().st_dev for part in there} == {space.nearest(work.part).stat().st_dev}
    if free and same:
        missing = min(missing, max(part.size for part in there) + len(work.whole.header))
    space.require(work.part, missing, 8)
