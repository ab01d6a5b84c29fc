"""A model directory that holds exactly the listed content, with its manifest written last.

Inside it, `.fetch/` has the lock, the journal, parts of files and heads of shards, until all is
complete.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace as altered
from pathlib import Path

from . import checkpoint, manifest, publish, space, workers
from .content import sha256_of
from .durable import rename
from .failure import Failure
from .journal import Entry, Journal
from .lock import Taken, held
from .manifest import Record
from .merge import shards_of
from .progress import Progress
from .shards import HeaderChanged, Merging, part_of, state_name
from .source import Directory, Patience, Source, open_source
from .spec import File, Spec, owner_ids, take_ownership
from .transfer import SYNC_BYTES, Run, Target, transfer

LAYOUTS = 3


def fetch(
    spec: Spec,
    *,
    patience: Patience | None = None,
    stop: threading.Event | None = None,
    sync_bytes: int = SYNC_BYTES,
) -> bool:
    """The directory is complete and its manifest holds; whether anything had to be done for it."""
    if publish.complete(spec):
        return False
    if not spec.sources:
        raise Failure("the spec has no sources")
    place, state = spec.directory, spec.directory / ".fetch"
    space.require(place, _missing_bytes(spec), len(spec.files) + 8)
    try:
        publish.make_directories(place, owner_ids(spec.owner))
        state.mkdir(mode=0o700, exist_ok=True)
        with held(state / "lock"):
            # Another fetch may have finished meanwhile, or died before its last step.
            if not publish.refresh(spec) and not publish.resume(spec):
                progress = Progress("fetch", sum(file.size for file in spec.files))
                journal = Journal(state / "journal")
                run = Run(
                    journal, progress, stop or threading.Event(), patience or Patience(), sync_bytes
                )
                try:
                    records = _fetch(spec, run)
                finally:
                    progress.tick(last=True)
                    journal.close()
                if spec.quantization:
                    _check_tree(spec, spec.quantization)
                publish.publish(spec, records)
    except Taken:
        raise Failure(
            f"another fetch is writing to {place}: wait for it to end, then run again"
        ) from None
    except OSError as error:
        raise space.explain(error, place) or error from error
    return True


def _check_tree(spec: Spec, claimed: str) -> None:
    """What was proven file by file is a model, too; else it never gets a manifest."""
    found = checkpoint.check(spec.directory, [file.path for file in spec.files], claimed)
    print(f"{spec.model}: complete by its headers, quantization {found}", flush=True)


def _fetch(spec: Spec, run: Run) -> list[Record]:
    for _ in range(LAYOUTS):
        # A stop that the workers set among themselves is not the operator's.
        inner = altered(run, stop=threading.Event())
        try:
            return _fetch_once(spec, run, inner)
        except HeaderChanged as change:
            print(change, flush=True)
            run.progress.done = 0
    raise Failure("the headers of the shards differ each time they are read: use another source")


def _fetch_once(spec: Spec, run: Run, inner: Run) -> list[Record]:
    """Every file is in place and proven, a merged one still under its `.part` name."""

    def work(tasks: Sequence[workers.Task]) -> None:
        def tick() -> None:
            run.progress.tick()
            if run.stop.is_set():
                inner.stop.set()

        workers.run(tasks, spec.workers, lambda: _sources(spec, run.patience), inner.stop, tick)

    shards, plain = shards_of(spec.files) if spec.output else ([], list(spec.files))
    records: list[Record] = []
    tasks = [_plain_task(spec, inner, file, records) for file in plain]
    known = _known_output(spec)
    if known:
        records.append(known)
        run.progress.add(sum(file.size for file in shards))
    if known or not shards:
        work(tasks)
        return records
    with Merging(spec, run, shards, _sources(spec, run.patience)) as merging:
        work([*merging.tasks(inner), *tasks])
        return [*records, merging.finish()]


def _sources(spec: Spec, patience: Patience) -> list[Source]:
    sources = [open_source(each, patience) for each in spec.sources]
    if spec.output and any(_has(spec.directory / file.path, file.size) for file in spec.files):
        # Shards that were fetched earlier, before a merged file was wanted.
        sources.insert(0, Directory(spec.directory))
    return sources


def _plain_task(spec: Spec, run: Run, file: File, records: list[Record]) -> workers.Task:
    final = spec.directory / file.path
    part = spec.directory / ".fetch" / f"{state_name(file)}.part"
    key = Target(file, -1).key
    ids = owner_ids(spec.owner)

    def work(sources: Sequence[Source]) -> None:
        if not _already_there(run, file, final, key):
            _fetch_part(run, file, part, key, sources)
            publish.make_directories(final.parent, ids)
            rename(part, final)
        take_ownership(final, ids)
        found = manifest.record(spec.directory, file.path, file.sha256)
        run.journal.put(key, Entry(file.size, True, (found.size, found.mtime_ns, found.inode or 0)))
        records.append(found)

    return work


def _fetch_part(run: Run, file: File, part: Path, key: str, sources: Sequence[Source]) -> None:
    if not part.exists():
        run.journal.forget(key)
    fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        space.allocate(fd, file.size)
        transfer(run, Target(file, fd), sources)
        os.fchmod(fd, 0o644)
        os.fsync(fd)
    except Failure:
        if not run.journal.get(key).at:
            part.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _already_there(run: Run, file: File, final: Path, key: str) -> bool:
    if not _has(final, file.size):
        return False
    found, entry = final.stat(), run.journal.get(key)
    if entry.proven and entry.stat == (found.st_size, found.st_mtime_ns, found.st_ino):
        run.progress.add(file.size)
        return True
    if sha256_of(final, run.progress.add) == file.sha256:
        final.chmod(0o644)
        return True
    run.progress.add(-file.size)
    return False


def _known_output(spec: Spec) -> Record | None:
    """The merged file, if only times or inode differ from the manifest: it was copied."""
    found = manifest.load(spec.directory / manifest.NAME)
    if not spec.output or not found or not found.describes(spec):
        return None
    for each in found.files:
        if each.path == spec.output and _has(spec.directory / each.path, each.size):
            print(f"{each.path}: reading it to see whether it is still what it was", flush=True)
            if sha256_of(spec.directory / each.path) == each.sha256:
                return manifest.record(spec.directory, each.path, each.sha256)
    return None


def _missing_bytes(spec: Spec) -> int:
    """What is still to be written, at most: what is allocated already is not asked for twice."""
    place = spec.directory
    shards, plain = shards_of(spec.files) if spec.output else ([], list(spec.files))
    missing = 0
    for file in plain:
        if not _has(place / file.path, file.size):
            kept = space.allocated(place / ".fetch" / f"{state_name(file)}.part")
            missing += max(0, file.size - kept)
    if spec.output and not (place / spec.output).exists():
        missing += max(0, sum(file.size for file in shards) - space.allocated(part_of(spec)))
    return missing


def _has(path: Path, size: int) -> bool:
    try:
        return path.is_file() and path.stat().st_size == size
    except OSError:
        return False
