"""Pool of streams that fetch several ranges, several files and from several sources at once.

A stream belongs to one source. It takes the next range that this source may be asked for, so a slow
source gets a small share and a failing one none; a range that a stream returns, or is too slow
with, is taken by another.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

from ..lib.failure import SourceFailure, Stopped
from ..peers import blame
from ..peers.peer_session import Exchange
from .checkpointer import Checkpointer
from .http import Interrupted
from .scheduler import Scheduler
from .segment import Segment, Stream
from .source import Source
from .source_health import SourceHealth
from .stream import attempt
from .target import Item, Run
from .transfer import Transfer

LEAVE_AFTER = 5.0
SYNC_SECONDS = 0.5


def run(
    items: Sequence[Item],
    standings: Sequence[SourceHealth],
    open_sources: Callable[[], Sequence[Source]],
    run: Run,
    tick: Callable[[], None],
    *,
    open_files: int,
    exchange: Exchange | None = None,
) -> None:
    """Every item is there and proven, at most `lanes` large ones at once; or the first failure.

    `standings` are those of the sources, in the same order. `exchange` hears what is here.
    """
    pool = _Pool(items, standings, open_sources, run, open_files, exchange)
    try:
        pool.run(tick)
    finally:
        for item in items:
            item.close()


class _Pool:
    def __init__(
        self,
        items: Sequence[Item],
        standings: Sequence[SourceHealth],
        open_sources: Callable[[], Sequence[Source]],
        run: Run,
        open_files: int,
        exchange: Exchange | None,
    ) -> None:
        self._run, self._open_sources, self._exchange = run, open_sources, exchange
        self._lock = threading.Lock()
        self._room, self._due = threading.Condition(self._lock), threading.Condition(self._lock)
        self._claims = Scheduler(items, standings, run, self._lock, open_files)
        self._record = Checkpointer(self._claims, run.journal, self._lock, self._room)
        self._errors: list[BaseException] = []

    def run(self, tick: Callable[[], None]) -> None:
        # Daemon threads: one that waits for a silent server must not keep a program alive.
        threads = [
            threading.Thread(target=self._work, args=(index, Stream(standing, number)), daemon=True)
            for index, standing in enumerate(self._claims.standings)
            for number in range(standing.streams)
        ]
        for thread in threads:
            thread.start()
        if self._exchange:
            self._exchange.begin(self._news)
        try:
            self._watch(tick)
            if not self._claims.done:
                raise next((e for e in self._errors if not isinstance(e, Stopped)), Stopped())
        except Exception:
            with contextlib.suppress(OSError):
                self._record.sync()
            raise
        finally:
            self._run.stop.set()
            with self._lock:
                self._claims.news.notify_all()
                self._room.notify_all()
            if not self._claims.done:
                deadline = time.monotonic() + LEAVE_AFTER
                for thread in threads:
                    thread.join(max(0.0, deadline - time.monotonic()))

    def _watch(self, tick: Callable[[], None]) -> None:
        half, due = self._run.sync_bytes // 2, time.monotonic() + SYNC_SECONDS
        while not self._run.stop.is_set():
            with self._lock:
                ended = self._due.wait_for(
                    lambda: self._claims.done or self._errors or self._claims.unsynced > half, 0.1
                ) and (self._claims.done or self._errors)
                full = self._claims.unsynced > half
            tick()
            if self._exchange:
                with self._lock:
                    held = list(self._claims.held())
                self._exchange.tell(held, self._run.progress.done)
            if ended:
                return
            if full or time.monotonic() >= due:
                self._record.sync()
                due = time.monotonic() + SYNC_SECONDS

    def _news(self) -> None:
        with self._lock:
            self._claims.news.notify_all()

    def _work(self, index: int, stream: Stream) -> None:
        try:
            source = self._open_sources()[index]
            while (found := self._claims.next(stream)) is not None:
                if isinstance(found, Transfer):
                    self._open(found)
                else:
                    stream.rate = self._fetch(found, source) or stream.rate
        except BaseException as error:
            with self._lock:
                self._errors.append(error)
                self._due.notify_all()

    def _open(self, transfer: Transfer) -> None:
        target = transfer.item.begin()
        if target is None:
            with self._lock:
                self._claims.leave(transfer)
                self._due.notify_all()
            return
        with self._lock:
            transfer.open(target)
        transfer.fill()
        with self._lock:
            self._claims.opened(transfer)
        self._advance(transfer)

    def _fetch(self, claim: Segment, source: Source) -> float:
        """Fetch a claim, or give it back; return the rate in bytes per second."""
        transfer, first, asked = claim.transfer, claim.position, claim.stop
        end = asked if asked < transfer.file.size else None
        problem: Exception | None = None
        began, came = time.monotonic(), 0
        try:
            with contextlib.closing(
                attempt(
                    source,
                    transfer.file.path,
                    0 if claim.serial else first,
                    transfer.file.size,
                    patience=self._run.patience,
                    end=end,
                    whole=True,
                )
            ) as pieces:
                for offset, data in pieces:
                    came += len(data)
                    if not self._take(claim, offset, data) and (claim.serial or claim.stop < asked):
                        break
        except (Interrupted, SourceFailure) as trouble:
            problem = trouble
        finally:
            with self._lock:
                self._claims.give_back(claim, problem)
                self._due.notify_all()
        self._advance(transfer)
        return came / (time.monotonic() - began)

    def _take(self, claim: Segment, offset: int, data: bytes) -> bool:
        """Write `data`, as far as it is wanted; return whether more is."""
        transfer, name = claim.transfer, claim.standing.name
        with self._lock:
            self._room.wait_for(
                lambda: self._claims.unsynced < self._run.sync_bytes or self._run.stop.is_set()
            )
            if self._run.stop.is_set():
                raise Stopped
            parts = self._claims.wanted(claim, offset, len(data))
        view = memoryview(data)
        for start, stop in parts:
            transfer.target.write(view[start - offset : stop - offset], start)
        with self._lock:
            for start, stop in parts:
                if claim.standing.dropped:
                    transfer.release(start, stop)
                else:
                    transfer.put(start, stop, name)
            if self._claims.unsynced > self._run.sync_bytes // 2:
                self._due.notify_all()
            fresh = sum(stop - start for start, stop in parts)
            return self._claims.advance(claim, offset + len(data), fresh)

    def _advance(self, transfer: Transfer) -> None:
        """Hash what can be hashed; record a complete file as verified, or fetch it again."""
        if not transfer.advance():
            return
        path, givers = transfer.file.path, transfer.senders()
        if transfer.digest == transfer.file.sha256:
            self._prove(transfer)
            return
        print(f"{path}: wrong content from {givers}, fetching it again", flush=True)
        if self._run.peers:
            blame.record_evidence(transfer, self._run.peers)
        with self._record.held:
            self._run.journal.forget(transfer.target.key)
            with self._lock:
                transfer.discard_suspect()
        if transfer.target.renew:
            transfer.target.prefix = transfer.target.renew(transfer.avoided)
        transfer.fill()
        with self._lock:
            self._claims.opened(transfer)
        self._advance(transfer)

    def _prove(self, transfer: Transfer) -> None:
        target, size = transfer.target, transfer.file.size
        if target.padding:
            target.write(bytes(target.padding), max(size, len(target.header)))
        self._record.prove(transfer)
        target.reached(max(0, size - len(target.header)) + target.padding)
        liars = blame.corrupt_sources(transfer)
        transfer.item.finish()
        with self._record.held:
            transfer.item.close()
        with self._lock:
            dropped = [self._claims.leave(transfer)]
            why = f"what it gave of {transfer.file.path} was wrong"
            dropped += [self._claims.distrust(name, why) for name in liars]
            self._room.notify_all()
            self._due.notify_all()
        for liar in filter(None, dropped):
            print(f"{liar.name} is not used any more: {liar.dropped}", flush=True)
            if self._exchange:
                self._exchange.drop(liar.name)
