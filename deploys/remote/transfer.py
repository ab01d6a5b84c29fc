"""One listed file on its way to its place: any part of it from any source, in any order.

It is hashed in order, right behind those who write and while it is still in memory, and proven when
the last byte has been.
"""

from __future__ import annotations

import enum
import hashlib
import os
import threading
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Protocol

from .content import PIECE
from .durable import write_all
from .failure import Failure
from .journal import Entry, Journal
from .progress import Progress
from .ranges import Range, Ranges
from .source import Patience
from .spec import File

ATTEMPTS = 3
SYNC_BYTES = 32 << 20
PIECE_BYTES = 32 << 20
# Who gave what was there before this run, and the beginning that was read for itself.
ON_DISK, BEGINNING = "what was on disk", "its beginning"


@dataclass(frozen=True)
class Run:
    """What all transfers of one run share.

    `sync_bytes` is how much may be in place and not yet in the journal, `piece_bytes` how much one
    request asks for. `peers` are the names of sources that are other machines of the lab.
    """

    journal: Journal
    progress: Progress
    stop: threading.Event
    patience: Patience = field(default_factory=Patience)
    sync_bytes: int = SYNC_BYTES
    piece_bytes: int = PIECE_BYTES
    peers: frozenset[str] = frozenset()


def _nobody(size: int) -> None:
    return None


@dataclass
class Target:
    """Where one file goes: `header`, its first bytes, nowhere; the rest to byte `place` of `fd`.

    `prefix` is what is at hand already, header included. `padding` zero bytes follow the content.
    `reached` hears how many bytes from `place` on have been hashed. `renew` reads the prefix again,
    last from the sources whose names it is given.
    """

    file: File
    fd: int
    place: int = 0
    header: bytes = b""
    prefix: bytes = b""
    padding: int = 0
    reached: Callable[[int], None] = _nobody
    renew: Callable[[Set[str]], bytes] | None = None

    @property
    def key(self) -> str:
        """The name in the journal: this content at this place."""
        return f"{self.file.sha256} {self.place} {self.file.path}"

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """`data`, from byte `offset` of the file on, is in place."""
        write_all(self.fd, data, self.place + offset - len(self.header))


class Item(Protocol):
    """A file that is wanted; each method is called by one thread at a time."""

    file: File

    def begin(self) -> Target | None:
        """Where it goes; None: it is there already."""

    def finish(self) -> None:
        """It is proven."""

    def close(self) -> None:
        """No thread works on it any more."""


class State(enum.Enum):
    """HELD: one thread opens it, or judges its content; nothing of it is claimed meanwhile."""

    WAITING, HELD, OPEN, PROVEN = range(4)


class Transfer:
    """What is known of one file; `lock` is held by whoever calls, unless it says otherwise."""

    def __init__(self, item: Item, run: Run, lock: threading.Lock) -> None:
        self.item, self.file, self.state = item, item.file, State.WAITING
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
        """How many bytes have been taken in this run and are not hashed."""
        return min(self._asked, self._taken.total - self.hashed)

    def open(self, target: Target) -> None:
        """What the journal knows to be on disk counts as in place."""
        self.target = target
        for start, stop in self._run.journal.get(target.key).ranges:
            self._mark(start, min(stop, self.file.size), ON_DISK)
        self._begin()

    def gap(self) -> tuple[int, int, bool] | None:
        """The first bytes that nobody has or fetches, and whether some behind them are taken."""
        gap = self._taken.gap(0, self.file.size)
        return None if gap is None else (*gap, self._taken.total > gap[0])

    def taken_behind(self, position: int) -> bool:
        """Whether somebody has or fetches something behind `position`."""
        return self._taken.part(position, self.file.size) is not None

    def missing(self, start: int, stop: int) -> list[Range]:
        """What nobody has or fetches of `start` to `stop`."""
        return list(self._taken.gaps(start, stop))

    def take(self, start: int, stop: int) -> None:
        """`start` to `stop` will be written."""
        self._taken.add(start, stop)
        self._asked += stop - start

    def release(self, start: int, stop: int) -> None:
        """`start` to `stop` has not been written after all."""
        self._taken.remove(start, stop)

    def put(self, start: int, stop: int, giver: str) -> None:
        """`start` to `stop` has been written."""
        self._mark(start, stop, giver)
        self.unsynced += stop - start

    def advance(self) -> bool:
        """What can be hashed has been; True if that was all: it is HELD then. Without the lock."""
        with self._lock:
            if self._hashing or self.state is not State.OPEN:
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
                            self.state = State.HELD
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

    def entry(self) -> Entry:
        """What the journal may say once all that has been written is on disk."""
        return Entry(tuple(self._have))

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def givers(self) -> str:
        """Who gave the content, in words."""
        names = [name for name, ranges in self.given.items() if ranges.total]
        return " and ".join(name for name in names if name != BEGINNING) or ON_DISK

    def doubt(self) -> None:
        """The content is wrong: what one source gave, or all, is to be fetched from others.

        Failure when that has been done often enough. Guilty is who was avoided last when the
        content is right.
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
        found, by = self.digest, self.givers()
        for name in list(self.given):
            self.forget(name)
        if self._attempts == ATTEMPTS:
            raise Failure(
                f"{self.file.path}: sha256 expected {self.file.sha256}, found {found} from {by}, "
                f"{ATTEMPTS} attempts: its data was deleted; "
                "resolve the listing again or use another source"
            )

    def forget(self, giver: str) -> None:
        """What `giver` gave is missing; the hashing begins anew if it had come to that."""
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
        """The digest is over the header as planned, not as it comes: it proves what is used."""
        target = self.target
        self.era += 1
        self._digest = hashlib.sha256(target.header[: self.file.size])
        self.hashed = min(len(target.header), self.file.size)
        for start, stop in list(self._have.gaps(0, self.hashed)):
            self._mark(start, stop, BEGINNING)
        target.reached(0)
