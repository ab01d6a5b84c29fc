"""The other machines that fetch the same model or have it: what each has, and whose turn it is.

Every piece has one machine that asks the hub for it; the others take it from there. Nobody decides
that: all machines know the same names and number the pieces alike. One that is not there, or shows
no more sign of life, has its pieces dealt out among the rest.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .failure import SourceFailure
from .http import Body, Interrupted, Session
from .ranges import Ranges
from .share import listing_id
from .source import Patience, chained
from .spec import File

# Seconds between two looks at a machine that fetches, and at one that does not.
LOOK_EVERY = 0.3
LOOK_AGAIN = 2.0
# Seconds without a sign of life after which a machine is not counted on.
LIFE = 6.0
# For how long machines that begin at the same time may be apart: as long as this many bytes a
# second take, so that a small model is not waited for, and never longer than so many seconds.
START_RATE = 25e6
LONGEST_START = 10.0
# Seconds for which a machine that did not give what it said is not asked.
REST = 5.0


@dataclass
class Offer:
    """What another machine says it has of one file; as in Held of share.py."""

    head: int
    place: int
    have: Ranges


@dataclass
class Peer:
    """One other machine, as it was when last looked at; `name` is its address."""

    name: str
    offers: dict[str, Offer] = field(default_factory=dict)
    life: float | None = None
    complete: bool = False
    rests_until: float = 0.0
    dropped: bool = False
    _sign: tuple[object, object] = (None, None)

    def hears(self, report: dict[str, object], sizes: dict[str, int], now: float) -> None:
        """A report of that machine has been read."""
        sign = report.get("pid"), report.get("beat")
        if sign != self._sign:
            self._sign, self.life = sign, now
        files = report["files"]
        assert isinstance(files, dict)
        self.offers = {
            sha256: Offer(
                int(each["head"]),
                int(each["place"]),
                Ranges((int(start), int(stop)) for start, stop in each["have"]),
            )
            for sha256, each in files.items()
            if sha256 in sizes
        }
        self.complete = all(
            sha256 in self.offers and self.offers[sha256].have.until(0) >= size
            for sha256, size in sizes.items()
        )

    def gives(self, file: File, start: int) -> int:
        """Up to which byte, from `start` on, this machine has the file now."""
        offer = self.offers.get(file.sha256)
        if self.dropped or offer is None or time.monotonic() < self.rests_until:
            return start
        return min(offer.have.until(start), file.size)


class Peers:
    """All others, looked at in threads of their own until `stop` is set."""

    def __init__(
        self, me: str, others: Sequence[str], files: Sequence[File], stop: threading.Event
    ) -> None:
        self._me, self._stop = me, stop
        self._names = sorted({me, *others})
        self.all = [Peer(name) for name in self._names if name != me]
        self._sizes = {file.sha256: file.size for file in files}
        self._report = f"{listing_id(files)}.json"
        size = sum(file.size for file in files)
        self._started = time.monotonic()
        self._start = min(LONGEST_START, size / START_RATE)
        self.news = threading.Condition()
        for peer in self.all:
            threading.Thread(target=self._look, args=(peer,), daemon=True).start()

    def givers(self, file: File, start: int) -> list[Peer]:
        """Who has the byte at `start` of `file`."""
        return [peer for peer in self.all if peer.gives(file, start) > start]

    def is_mine(self, piece: int) -> bool:
        """Whether this machine asks the hub for piece number `piece`, counted over all files."""
        now = time.monotonic()
        counted = {peer.name for peer in self.all if self._counts(peer, now)} | {self._me}
        owner = self._names[piece % len(self._names)]
        if owner not in counted:
            owner = sorted(counted)[piece // len(self._names) % len(counted)]
        return owner == self._me

    def wait(self, seconds: float) -> None:
        """Until a machine says something new, or for so long."""
        with self.news:
            self.news.wait(seconds)

    def drop(self, peer: Peer, why: str) -> None:
        """It gave wrong content: nothing more is taken from it."""
        if not peer.dropped:
            peer.dropped = True
            print(f"{peer.name} {why}: nothing more is taken from it", flush=True)

    def rest(self, peer: Peer) -> None:
        """It did not give what it said that it had: it is left alone for a while."""
        peer.rests_until = time.monotonic() + REST

    def _counts(self, peer: Peer, now: float) -> bool:
        """Whether that machine will ask the hub for its pieces."""
        if peer.dropped or peer.complete:
            return False
        if peer.life is None:
            return now - self._started < self._start
        return now - peer.life < LIFE

    def _look(self, peer: Peer) -> None:
        session = Session(timeout=LIFE / 2)
        while not self._stop.is_set():
            try:
                body = session.get(f"{peer.name}/{self._report}")
                report = json.loads(b"".join(body.chunks))
                peer.hears(report, self._sizes, time.monotonic())
                with self.news:
                    self.news.notify_all()
            except (SourceFailure, Interrupted):
                peer.offers = {}
            except (ValueError, KeyError, TypeError, AssertionError):
                self.drop(peer, "does not say what it has in a way that we understand")
                return
            seen = peer.life is not None and time.monotonic() - peer.life < LIFE
            starting = time.monotonic() - self._started < 2 * self._start
            self._stop.wait(LOOK_EVERY if seen or starting else LOOK_AGAIN)
        session.close()


class PeerSource:
    """One other machine as a source, with connections of one thread."""

    def __init__(self, peer: Peer, files: Sequence[File], patience: Patience) -> None:
        self.peer, self.name = peer, peer.name
        self._files = {file.path: file for file in files}
        self._session = Session(timeout=min(patience.silence, LIFE))

    def open(self, path: str, start: int, end: int | None) -> Body:
        file = self._files[path]
        offer = self.peer.offers.get(file.sha256)
        if offer is None:
            raise SourceFailure(f"{self.name} has nothing of {path} any more")
        stop = file.size if end is None else end
        bodies = []
        if start < offer.head:
            url = f"{self.name}/{file.sha256}.head"
            bodies.append(self._session.get(url, start, min(stop, offer.head)))
        if stop > offer.head:
            shift = offer.place - offer.head
            first = max(start, offer.head)
            url = f"{self.name}/{file.sha256}"
            bodies.append(self._session.get(url, first + shift, stop + shift))
        return Body(start, stop, file.size, chained(bodies))
