"""Transfer of one listed file: any part of it from any source, in any order.

It is hashed in order, right behind the writers and while it is still in memory, and verified when
the last byte has been hashed.
"""

from __future__ import annotations

import enum
import hashlib
import os
import threading

from ..lib.content import PIECE
from ..lib.failure import Failure
from ..lib.journal import JournalEntry
from ..lib.ranges import Range, Ranges
from .target import Item, Run, Target

ATTEMPTS = 3
# Who gave what was there before this run, and the beginning that was read for itself.
ON_DISK, BEGINNING = "what was on disk", "its beginning"


class TransferState(enum.Enum):
    """State of a transfer; while HELD, one thread opens or checks it and nothing is claimed."""

    WAITING, HELD, OPEN, PROVEN = range(4)


class Transfer:
    """State of one file's transfer; callers hold `lock`, unless a method says otherwise."""

    def __init__(self, item: Item, run: Run, lock: threading.Lock) -> None:
        self.item, self.file, self.state = item, item.file, TransferState.WAITING
        self.unsynced = self.hashed = self.era = 0
        self.given: dict[str, Ranges] = {}
        self.avoided: set[str] = set()
        self._run, self._lock = run, lock
        self._have, self._taken = Ranges(), Ranges()
        self._hashing = False
        self._attempts = self._asked = 0
        self._cleared: set[str] = set()
        # What other machines gave of content that turned out to be wrong: range and digest by name.
        # From then on the file is fetched without them.
        self.evidence: dict[str, list[tuple[int, int, str]]] = {}

    @property
    def ahead(self) -> int:
        """Number of bytes that have been taken in this run and are not hashed."""
        return min(self._asked, self._taken.total - self.hashed)

    def open(self, target: Target) -> None:
        """Set the target; count what the journal knows to be on disk as in place."""
        self.target = target
        for start, stop in self._run.journal.get(target.key).ranges:
            self._mark(start, min(stop, self.file.size), ON_DISK)
        self._begin()

    def fill(self) -> None:
        """Write what was read earlier of the file's beginning.

        Called without the lock.
        """
        prefix = self.target.prefix
        with self._lock:
            parts = self.missing(0, min(len(prefix), self.file.size))
            for start, stop in parts:
                self.take(start, stop)
        for start, stop in parts:
            self.target.write(prefix[start:stop], start)
        with self._lock:
            for start, stop in parts:
                self.put(start, stop, BEGINNING)

    def gap(self) -> tuple[int, int, bool] | None:
        """Return the first range that is neither present nor being fetched.

        With it comes whether any bytes behind it are. None if there is no such range.
        """
        gap = self._taken.gap(0, self.file.size)
        return None if gap is None else (*gap, self._taken.total > gap[0])

    def any_taken_after(self, position: int) -> bool:
        """Return whether any bytes behind `position` are present or being fetched."""
        return self._taken.part(position, self.file.size) is not None

    def missing(self, start: int, stop: int) -> list[Range]:
        """Return the ranges from `start` to `stop` that are neither present nor being fetched."""
        return list(self._taken.gaps(start, stop))

    def take(self, start: int, stop: int) -> None:
        """Reserve `start` to `stop`, which will be written."""
        self._taken.add(start, stop)
        self._asked += stop - start

    def release(self, start: int, stop: int) -> None:
        """Release `start` to `stop`, which has not been written after all."""
        self._taken.remove(start, stop)

    def put(self, start: int, stop: int, giver: str) -> None:
        """Record that `start` to `stop` has been written, and who sent it."""
        self._mark(start, stop, giver)
        self.unsynced += stop - start

    def advance(self) -> bool:
        """Hash what can be hashed; return True if that completes the file, which is HELD then.

        Called without the lock.
        """
        with self._lock:
            if self._hashing or self.state is not TransferState.OPEN:
                return False
            self._hashing = True
        buffer = memoryview(bytearray(min(PIECE, self.file.size)))
        try:
            while True:
                with self._lock:
                    start, era, digest = self.hashed, self.era, self._digest
                    stop = min(self._have.until(start), start + len(buffer))
                    if stop == start:
                        self._hashing = False
                        whole = start == self.file.size
                        if whole:
                            self.state = TransferState.HELD
                        return whole
                    offset = self.target.place + start - len(self.target.header)
                count = os.preadv(self.target.fd, [buffer[: stop - start]], offset)
                digest.update(buffer[:count] if count else bytes(stop - start))
                with self._lock:
                    if era == self.era:
                        self.hashed += count or stop - start
                        self.target.reached(self.hashed - len(self.target.header))
        except BaseException:
            self._hashing = False
            raise

    def entry(self) -> JournalEntry:
        """Return what the journal may record once all that has been written is on disk."""
        return JournalEntry(tuple(self._have))

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def senders(self) -> str:
        """Return the names of the sources of the content, joined as text."""
        names = [name for name, ranges in self.given.items() if ranges.total]
        return " and ".join(name for name in names if name != BEGINNING) or ON_DISK

    def discard_suspect(self) -> None:
        """Discard what one source sent of wrong content, or all of it, to fetch it from others.

        If the content is right afterwards, the source that was avoided last is to blame. Raise
        Failure if everything has been discarded often enough.
        """
        givers = {name: given.total for name, given in self.given.items() if given.total}
        givers.pop(BEGINNING, None)
        if self.evidence and self._run.peers & givers.keys():
            # All at once: several may have passed on the same wrong bytes, and hubs have the right
            # ones.
            for name in (*self._run.peers, BEGINNING):
                self.forget(name)
            return
        self._cleared |= self.avoided
        suspects = {name: size for name, size in givers.items() if name not in self._cleared}
        if len(givers) > 1 and suspects:
            # Who gave least is asked about first: to fetch that again costs least.
            suspect = min(suspects, key=lambda name: suspects[name])
            self.avoided = {suspect}
            self.forget(suspect)
            self.forget(BEGINNING)
            return
        self._attempts += 1
        self.avoided, self._cleared = set(givers), set()
        found, by = self.digest, self.senders()
        for name in list(self.given):
            self.forget(name)
        if self._attempts == ATTEMPTS:
            raise Failure(
                f"{self.file.path}: sha256 expected {self.file.sha256}, found {found} from {by}, "
                f"{ATTEMPTS} attempts: its data was deleted; "
                "resolve the listing again or use another source"
            )

    def forget(self, giver: str) -> None:
        """Discard what `giver` sent; if it sent anything, hashing starts over."""
        ranges = self.given.pop(giver, Ranges())
        for start, stop in ranges:
            self._have.remove(start, stop)
            self._taken.remove(start, stop)
            self._run.progress.add(start - stop)
        if ranges.total:
            self._begin()

    def _mark(self, start: int, stop: int, giver: str) -> None:
        for each in (self._have, self._taken, self.given.setdefault(giver, Ranges())):
            each.add(start, stop)
        self._run.progress.add(stop - start)

    def _begin(self) -> None:
        """Start hashing over, from the header as planned instead of as received.

        This way the digest verifies the header that is used.
        """
        target = self.target
        self.era += 1
        self._digest = hashlib.sha256(target.header[: self.file.size])
        self.hashed = min(len(target.header), self.file.size)
        for start, stop in list(self._have.gaps(0, self.hashed)):
            self._mark(start, stop, BEGINNING)
        target.reached(0)
