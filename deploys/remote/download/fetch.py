"""Fetch a model into its directory: exactly the listed content, with the manifest written last.

Inside it, `.fetch/` has the lock, the journal, partial files and the headers of shards, until all
is complete.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace as altered

from ..formats import checkpoint, gguf
from ..formats.gguf_layout import check_shards, header_of, shards_of
from ..lib import space
from ..lib.failure import Failure
from ..lib.folders import make_directories, refuse_links
from ..lib.journal import Journal
from ..lib.lock import Taken, held
from ..lib.progress import Progress
from ..lib.spec import SourceSpec, Spec, owner_ids
from ..merge.shards import HeaderChanged, Merging, part_of, state_name
from ..model_dir import manifest, prove, publish
from ..model_dir.manifest import Record
from ..model_dir.prove import Proof
from ..peers.peer_session import Exchange
from ..peers.peers import PIECE
from ..peers.seed import Share, is_published
from . import pool
from . import reuse as known
from .file_item import Plain, has
from .source import RetryPolicy, Source, open_source
from .source_health import SourceHealth
from .target import PIECE_BYTES, SYNC_BYTES, Item, Run

LAYOUTS = 3
# Streams altogether, and files that are hashed side by side.
STREAMS = 16
MOST_OPEN_FILES = 4


def fetch(
    spec: Spec,
    *,
    patience: RetryPolicy | None = None,
    stop: threading.Event | None = None,
    sync_bytes: int = SYNC_BYTES,
    piece_bytes: int = PIECE_BYTES,
) -> bool:
    """Fetch whatever the model directory lacks; return whether anything had to be done."""
    if publish.complete(spec):
        return _shared(spec)
    place, state = spec.directory, spec.directory / ".fetch"
    space.require(place, *_missing(spec))
    try:
        make_directories(place, owner_ids(spec.owner))
        refuse_links(place, f"{state.name}/lock")
        state.mkdir(mode=0o700, exist_ok=True)
        with held(state / "lock"):
            # Another fetch may have finished meanwhile, or died before its last step.
            if not publish.refresh(spec) and not publish.resume(spec):
                proof = _prove(spec, stop)
                if proof and publish.refresh(spec):
                    return _shared(spec) or True
                if not spec.sources:
                    raise Failure("the spec has no sources")
                progress = Progress("fetch", sum(file.size for file in spec.files))
                journal = Journal(state / "journal")
                if proof:
                    known.keep(spec, proof, journal)
                run = Run(
                    journal,
                    progress,
                    stop or threading.Event(),
                    patience or RetryPolicy(),
                    sync_bytes,
                    piece_bytes,
                )
                try:
                    records = _fetch(spec, run)
                finally:
                    progress.tick(last=True)
                    journal.close()
                if spec.quantization:
                    _check_tree(spec, spec.quantization)
                if spec.opened:
                    _check_gguf(spec, spec.opened)
                publish.publish(spec, records)
            _shared(spec)
    except Taken:
        raise Failure(
            f"another fetch is writing to {place}: wait for it to end, then run again"
        ) from None
    except OSError as error:
        raise space.explain(error, place) or error from error
    return True


def _prove(spec: Spec, stop: threading.Event | None) -> Proof | None:
    """Verify what is there of a directory that was complete once and was copied or restored."""
    found = manifest.load(spec.directory / manifest.NAME)
    if not found or not found.describes(spec):
        return None
    proof = prove.prove(found, spec.directory, stop)
    for problem in proof.problems:
        print(f"{problem}: fetching it again", flush=True)
    return proof


def _shared(spec: Spec) -> bool:
    """Tell the other machines that the model is complete; return whether that was news."""
    if spec.sharing is None or is_published(spec, spec.sharing.folder):
        return False
    Share(spec, spec.sharing.folder).publish_complete()
    return True


def _check_tree(spec: Spec, claimed: str) -> None:
    """Raise Failure unless the verified files form a model: only a model gets a manifest."""
    found = checkpoint.check(spec.directory, [file.path for file in spec.files], claimed)
    print(f"{spec.model}: complete by its headers, quantization {found}", flush=True)


def _check_gguf(spec: Spec, opened: str) -> None:
    """Raise Failure unless the file that an engine will open is a model by its header."""
    path = spec.directory / opened
    if spec.output:
        whole = part_of(spec)
        path = whole if whole.exists() else spec.directory / spec.output
    header = header_of(path, opened)
    gguf.refuse_parts(header, opened)
    if not spec.output:
        check_shards(spec.directory, opened, header)


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
    """Put every file in place, verified; a merged one keeps its `.part` name.

    Return the records of the files.
    """
    places = _places(spec)
    exchange = Exchange(spec, spec.sharing, inner.stop) if spec.sharing else None
    share = exchange.share if exchange else None
    if exchange:
        inner = altered(inner, piece_bytes=min(PIECE, run.piece_bytes), peers=exchange.names)

    def sources() -> list[Source]:
        others = exchange.sources(run.patience) if exchange else []
        return [*(open_source(each, run.patience) for each in places), *others]

    def work(items: Sequence[Item], open_files: int) -> None:
        def tick() -> None:
            run.progress.tick()
            if run.stop.is_set():
                inner.stop.set()

        streams = max(1, min(spec.workers, STREAMS // len(places)))
        standings = [
            SourceHealth(source.name, streams, local=place.kind == "directory")
            for place, source in zip(places, sources())
        ]
        if exchange:
            standings += exchange.standings(standings)
        pool.run(items, standings, sources, inner, tick, open_files=open_files, exchange=exchange)

    shards, plain = shards_of(spec.files) if spec.output else ([], list(spec.files))
    records: list[Record] = []
    items = [Plain(spec, inner, file, records, share) for file in plain]
    known = _known_output(spec)
    if known:
        records.append(known)
        run.progress.add(sum(file.size for file in shards))
    if known or not shards:
        work(items, MOST_OPEN_FILES)
        return records
    with Merging(spec, run, shards, sources) as merging:
        if share:
            for file, head, place in merging.places():
                share.link(file, part_of(spec), head=head, place=place)
        # One after the other: the digest of the merged file is taken in this order.
        work([*merging.items(), *items], 1)
        return [*records, merging.finish()]


def _places(spec: Spec) -> list[SourceSpec]:
    places = list(spec.sources)
    if spec.output and any(has(spec.directory / file.path, file.size) for file in spec.files):
        # Shards that were fetched earlier, before a merged file was wanted.
        places.insert(0, SourceSpec("directory", str(spec.directory)))
    return places


def _known_output(spec: Spec) -> Record | None:
    """Return the merged file if it is as recorded; another file is wanted then."""
    found = manifest.load(spec.directory / manifest.NAME)
    if not spec.output or not found or not found.describes(spec):
        return None
    changed = [each for each, _ in manifest.changes(found, spec.directory)]
    return next((e for e in found.files if e.path == spec.output and e not in changed), None)


def _missing(spec: Spec) -> tuple[int, int]:
    """Return how many bytes and files may still have to be written, beyond what is allocated."""
    place = spec.directory
    shards, plain = shards_of(spec.files) if spec.output else ([], list(spec.files))
    size, files = 0, 8  # lock, journal, manifest, what they are while they are written
    for file in plain:
        if not has(place / file.path, file.size):
            kept = space.allocated(place / ".fetch" / f"{state_name(file)}.part")
            size += max(0, file.size - kept)
            files += not kept
    if spec.output and not (place / spec.output).exists():
        size += max(0, sum(file.size for file in shards) - space.allocated(part_of(spec)))
        files += len(shards)
    return size, files
