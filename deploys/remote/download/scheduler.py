"""The scheduler: which stream fetches which range of which file next."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from ..lib.failure import Failure, Stopped
from ..lib.ranges import Range
from ..lib.spec import ListedFile
from .http import Interrupted
from .segment import Segment, Stream
from .source_health import SourceHealth, its_turn
from .target import Item, Run
from .transfer import Transfer, TransferState

# Pieces that may be under way or not yet hashed, for each stream.
PIECES_AHEAD = 2
# A stream asks for what it gets in so many seconds, but never for less than a part of a piece.
PIECE_SECONDS = 2.0
SMALLEST = 8
# A stream that has nothing to do takes the rest of a range from one that is so much slower.
SLOWER = 4.0
SLOW_AFTER = 1.0
LOOK_EVERY = 0.2


class Scheduler:
    """The claims of streams on `items`, in their order; callers hold `lock`, except for `next`."""

    def __init__(
        self,
        items: Sequence[Item],
        standings: Sequence[SourceHealth],
        run: Run,
        lock: threading.Lock,
        open_files: int,
    ) -> None:
        self.standings = standings
        self.news = threading.Condition(lock)
        self._run, self._open_files = run, open_files
        self._left = [Transfer(item, run, lock) for item in items]
        self._all_files = tuple(self._left)
        self.open: list[Transfer] = []
        self._running: list[Segment] = []
        self._ahead = PIECES_AHEAD * run.piece_bytes * sum(each.streams for each in standings)

    @property
    def done(self) -> bool:
        return not self._left

    @property
    def unsynced(self) -> int:
        """Number of bytes that are in place and not yet in the journal."""
        return sum(each.unsynced for each in self.open)

    def next(self, stream: Stream) -> Segment | Transfer | None:
        """Wait for what `stream` is to do next and return it: a range, or a file to be opened.

        Return None if nothing is left for its source.
        """
        standing = stream.standing
        with self.news:
            standing.busy -= stream.busy
            stream.busy = False
            while not self.done and not standing.dropped:
                if self._run.stop.is_set():
                    raise Stopped
                now = time.monotonic()
                found = None
                if stream.number < standing.most(now):
                    found = self._choose(stream, now) or self._take_over(stream, now)
                if found is not None:
                    standing.busy += 1
                    stream.busy = True
                    # The next source may be asked now, if this one has no stream left.
                    self.news.notify_all()
                    return found
                self.news.wait(LOOK_EVERY)
            return None

    def opened(self, transfer: Transfer) -> None:
        """Allow claims on a file that was held, for the first time or again."""
        transfer.state = TransferState.OPEN
        if transfer not in self.open:
            self.open.append(transfer)
        self.news.notify_all()
        self._require(transfer)

    def wanted(self, claim: Segment, offset: int, count: int) -> list[Range]:
        """Return the ranges that this stream is to write, out of `count` bytes from `offset` on.

        They are reserved for it.
        """
        transfer = claim.transfer
        if not claim.serial and offset != claim.position:
            # It knows no ranges, and began at the beginning: this answer brings what the other
            # streams of this source have asked it for, too.
            claim.standing.serial.add(transfer)
            for each in self._running:
                if each.standing is claim.standing and each.transfer is transfer:
                    each.leave()
            claim.position = claim.stop = offset
            if transfer not in claim.standing.serving:
                claim.standing.serving.add(transfer)
                claim.serial, claim.stop = True, transfer.file.size
        stop = min(offset + count, claim.stop)
        parts = transfer.missing(offset, stop) if claim.serial else [(offset, stop)]
        if claim.serial:
            for part in parts:
                transfer.take(*part)
        claim.writing = max(0, stop - offset)
        return [(start, end) for start, end in parts if start < end]

    def advance(self, claim: Segment, position: int, fresh: int) -> bool:
        """Record that the stream has come to `position`; return whether more is wanted of it.

        + fresh: number of bytes that it has written since the last call
        """
        claim.position, claim.writing = min(position, claim.stop), 0
        claim.came += fresh
        if claim.standing.dropped:
            return False
        if claim.serial:
            return bool(claim.transfer.missing(claim.position, claim.stop))
        return claim.position < claim.stop

    def give_back(self, claim: Segment, problem: Exception | None) -> None:
        """End a claim, because its stream has ended by itself or with a `problem`.

        Raise Failure if no source is left for the file.
        """
        transfer, standing = claim.transfer, claim.standing
        self._running.remove(claim)
        if claim.serial:
            standing.serving.discard(transfer)
        else:
            transfer.release(claim.position, claim.stop)
        if problem and standing.peer:
            # What another machine has moves to its final name while it is asked for.
            problem = Interrupted(str(problem))
        if isinstance(problem, Interrupted):
            standing.failed(transfer, problem, claim.began, claim.came, self._run.patience)
        elif problem:
            standing.refused[transfer] = str(problem)
        else:
            standing.troubles.pop(transfer, None)
        self.news.notify_all()
        self._require(transfer)

    def held(self) -> Iterator[tuple[ListedFile, Sequence[Range]]]:
        """Yield every file with the byte ranges of it that are here."""
        for each in self._all_files:
            if each not in self._left:
                yield each.file, [(0, each.file.size)]
            else:
                yield each.file, () if each.state is TransferState.WAITING else each.entry().ranges

    def leave(self, transfer: Transfer) -> SourceHealth | None:
        """Remove a file that is complete.

        Return the source that this has shown not to be trusted, or None.
        """
        self._left.remove(transfer)
        if transfer in self.open:
            self.open.remove(transfer)
        self.news.notify_all()
        if len(transfer.avoided) != 1:
            return None
        (suspect,) = transfer.avoided
        if suspect in transfer.given:
            return None
        return self.distrust(suspect, f"what it gave of {transfer.file.path} was wrong")

    def distrust(self, name: str, why: str) -> SourceHealth | None:
        """Take nothing more from this source, and discard what it sent of unverified files.

        Return its standing, or None if it had been dropped before.
        """
        liar = next((each for each in self.standings if each.name == name), None)
        if liar is None or liar.dropped:
            return None
        liar.dropped = why
        for each in self.open:
            if each.state is TransferState.OPEN and name in each.given:
                each.forget(name)
                each.avoided = set()  # who was in doubt there may have been wronged
        for each in self._left:
            self._require(each)
        return liar

    def _require(self, transfer: Transfer) -> None:
        """Raise Failure unless a source is left for the bytes that are still to be claimed."""
        if transfer.gap() and not any(each.able(transfer) for each in self.standings):
            reasons = [
                f"{each.name}: {each.refused.get(transfer) or each.dropped}"
                for each in self.standings
            ]
            raise Failure(f"{transfer.file.path}: " + "; ".join(reasons))

    def _choose(self, stream: Stream, now: float) -> Segment | Transfer | None:
        standing = stream.standing
        candidates: list[Transfer] = []
        ahead = sum(each.ahead for each in self.open)
        for transfer in self._left:
            if not its_turn(standing, self.standings, transfer, now):
                continue
            if transfer.state is TransferState.OPEN:
                gap = standing.gap(transfer)
                # A hole is filled in any case: what lies behind it waits for it.
                if gap is None or not (gap[2] or ahead < self._ahead):
                    continue
            elif transfer.state is TransferState.HELD:
                continue
            candidates.append(transfer)
            if len(candidates) == self._open_files:
                break
        if not candidates:
            return None
        transfer = min(candidates, key=lambda each: each.ahead)
        if transfer.state is TransferState.WAITING:
            transfer.state = TransferState.HELD
            return transfer
        return self._claim(stream, transfer, now)

    def _claim(self, stream: Stream, transfer: Transfer, now: float) -> Segment | None:
        standing, piece = stream.standing, self._run.piece_bytes
        gap = standing.gap(transfer)
        if gap is None:
            return None
        if transfer in standing.serial:
            standing.serving.add(transfer)
            claim = Segment(transfer, standing, 0, transfer.file.size, now, serial=True)
        else:
            count = max(piece // SMALLEST, min(piece, int(stream.rate * PIECE_SECONDS)))
            stop = min(gap[1], gap[0] + count)
            transfer.take(gap[0], stop)
            claim = Segment(transfer, standing, gap[0], stop, now)
        self._running.append(claim)
        return claim

    def _take_over(self, stream: Stream, now: float) -> Segment | None:
        """Claim the rest of a range that another stream is far too slow with."""
        standing = stream.standing
        slow = [
            each
            for each in self._running
            if not each.serial
            and now - each.began > SLOW_AFTER
            and each.rest < each.stop
            and each.came / (now - each.began) * SLOWER < stream.rate
            and standing.local >= each.standing.local
            and each.transfer not in standing.serial
            and standing.able(each.transfer)
            and standing.ready(each.transfer, now)
            and standing.gives(each.transfer, each.rest, each.stop)
        ]
        if not slow:
            return None
        other = min(slow, key=lambda each: each.came / (now - each.began))
        start, stop = other.rest, other.stop
        other.stop = start
        claim = Segment(other.transfer, standing, start, stop, now)
        self._running.append(claim)
        return claim
