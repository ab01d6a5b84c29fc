"""The other machines that fetch or have the same model: what each has, and who fetches what.

Each piece is requested from the hub by one machine; the others take it from there. No coordinator
is needed: all machines know the same names and number the pieces alike. If a machine is absent, or
shows no more sign of life, its pieces are distributed among the rest.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from ..download.http import Interrupted, Session
from ..lib.failure import SourceFailure
from ..lib.ranges import Range, Ranges
from ..lib.spec import ListedFile, Sharing
from .seed import listing_id

# What one machine asks the hub for at a time, and the least that is taken from another machine
# while that machine is still getting more.
PIECE = 8 << 20
LEAST = 1 << 20
# Seconds between two looks at a machine that fetches, and at one that does not.
LOOK_EVERY = 0.3
LOOK_AGAIN = 2.0
# Seconds that a first look at everybody may take; until then no hub is asked.
FIRST_LOOK = 1.0
# Seconds without a sign of life after which a machine is not counted on.
LIFE = 6.0
# How far apart machines may begin that are told to at the same time: as long as this many bytes a
# second take, so that a small model is not waited for, and never more than so many seconds.
START_RATE = 25e6
LONGEST_START = 10.0
# Seconds without one new byte after which a machine asks the hub for what is not its own; so many
# more for each machine before it, so that they do not all do that at once.
STANDSTILL = 20.0
STAGGER = 5.0


@dataclass
class Offer:
    """What another machine reports to have of one file; `head` and `place` are as in seed.Held."""

    head: int
    place: int
    have: Ranges


@dataclass
class Peer:
    """One other machine as it was when last polled; `name` is its address.

    `life` is when it last showed that it is fetching.
    """

    name: str
    offers: dict[str, Offer] = field(default_factory=dict)
    life: float | None = None
    complete: bool = False
    dropped: bool = False
    sign: tuple[object, object] = (None, None)

    def gives(self, file: ListedFile, start: int, stop: int) -> Range | None:
        """Return the first bytes between `start` and `stop` that may be taken from this peer now.

        None if there are none.
        """
        offer = self.offers.get(file.sha256)
        found = offer.have.part(start, stop) if offer and not self.dropped else None
        if found is None:
            return None
        first, last = found[0], min(found[1], found[0] + PIECE)
        ends = last == stop or last % PIECE == 0 or last == file.size
        return (first, last) if ends or last - first >= LEAST else None


class Peers:
    """All other machines, each polled by a thread of its own until `stop` is set."""

    def __init__(
        self,
        sharing: Sharing,
        files: Sequence[ListedFile],
        stop: threading.Event,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._me, self._stop, self._clock = sharing.me, stop, clock
        self._names = sorted({sharing.me, *sharing.others})
        self.all = [Peer(name) for name in self._names if name != sharing.me]
        self._sizes = {file.sha256: file.size for file in files}
        pieces = [-(-file.size // PIECE) for file in files]
        self._first = dict(zip([file.path for file in files], accumulate([0, *pieces])))
        self._id = listing_id(files)
        self._began = self._moved = clock()
        self._start = min(LONGEST_START, sum(self._sizes.values()) / START_RATE)
        self._came = 0
        self._unseen: set[str] = set()
        self.news: Callable[[], None] = lambda: None

    def watch(self) -> None:
        """Start polling all machines; `news` is called when one has something new."""
        self._unseen = {peer.name for peer in self.all}
        for peer in self.all:
            threading.Thread(target=self._look, args=(peer,), daemon=True).start()

    def next_hub_range(
        self, file: ListedFile, start: int, stop: int, without: Collection[str] = ()
    ) -> Range | None:
        """Return the first bytes from `start` to `stop` that this machine is to ask the hub for.

        None if there are none now.

        + without: names of machines that cannot provide the file, whatever they report
        """
        now, position = self._clock(), start
        if self._unseen and now - self._began < FIRST_LOOK:
            return None
        counted = sorted({peer.name for peer in self.all if self._counts(peer, now)} | {self._me})
        stands = now - self._moved > STANDSTILL + STAGGER * self._names.index(self._me)
        while position < stop:
            end = min(stop, (position // PIECE + 1) * PIECE)
            mine = self._owner(self._first[file.path] + position // PIECE, counted) == self._me
            if stands:
                return position, end
            if mine:
                able = (peer for peer in self.all if peer.name not in without)
                given = [part for peer in able if (part := peer.gives(file, position, end))]
                first = min((part[0] for part in given), default=end)
                if first > position:
                    return position, first
            position = end
        return None

    def came(self, count: int) -> None:
        """Record how many bytes have arrived so far, by which a standstill is noticed."""
        if count != self._came:
            self._came, self._moved = count, self._clock()

    def drop(self, name: str) -> None:
        """Take nothing more from this machine."""
        for peer in self.all:
            peer.dropped = peer.dropped or peer.name == name

    def update_from_report(self, peer: Peer, report: Any) -> bool:
        """Process the report of a machine; return whether it has anything new."""
        sign = report["fetch"], report["beat"]
        if sign == peer.sign:
            return False
        peer.offers = {
            sha256: Offer(int(each["head"]), int(each["place"]), _ranges(each["have"]))
            for sha256, each in report["files"].items()
            if sha256 in self._sizes
        }
        peer.complete = bool(report["last"])
        peer.sign, peer.life = sign, self._clock()
        return True

    def _owner(self, piece: int, counted: Sequence[str]) -> str:
        owner = self._names[piece % len(self._names)]
        return owner if owner in counted else counted[piece // len(self._names) % len(counted)]

    def _counts(self, peer: Peer, now: float) -> bool:
        """Return whether that machine is expected to request its pieces from the hub."""
        if peer.dropped or peer.complete:
            return False
        if peer.life is None:
            return now - self._began < self._start
        return now - peer.life < LIFE

    def _look(self, peer: Peer) -> None:
        session = Session(timeout=LIFE / 2)
        while not self._stop.is_set() and not peer.dropped:
            try:
                if self.update_from_report(peer, self._report(session, peer)):
                    self.news()
            except (SourceFailure, Interrupted):
                # What it has is not to be had now; it may still be about to begin.
                peer.offers, peer.complete, peer.sign = {}, False, (None, None)
            except (ValueError, KeyError, TypeError, AttributeError):
                print(f"{peer.name} does not say what it has in a way that we know", flush=True)
                peer.dropped = True
            self._unseen.discard(peer.name)
            now = self._clock()
            fetches = not peer.complete and self._counts(peer, now)
            self._stop.wait(LOOK_EVERY if fetches else LOOK_AGAIN)
        session.close()

    def _report(self, session: Session, peer: Peer) -> Any:
        kinds = ("json", "now") if peer.complete else ("now", "json")
        try:
            body = session.get(f"{peer.name}/{self._id}.{kinds[0]}")
        except SourceFailure:
            body = session.get(f"{peer.name}/{self._id}.{kinds[1]}")
        return json.loads(b"".join(body.chunks))


def _ranges(value: Any) -> Ranges:
    return Ranges((int(start), int(stop)) for start, stop in value)
