"""What is known of a source in one run: what it cannot give, and how much to ask of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..lib.ranges import Range
from .http import Interrupted
from .source import Patience
from .transfer import Transfer

# Seconds without an answer `too busy` after which one stream more is tried.
RECOVERS_AFTER = 60.0


@dataclass
class Trouble:
    """With one file: so many times in a row, last at `since`, not again before `until`."""

    tried: int = 0
    since: float = 0.0
    until: float = 0.0


@dataclass(eq=False)
class Standing:
    """One source; those that are `local`, on this machine, come before all others.

    `busy` of its `streams` have something to do. `serial`: it gives these files only from the start
    to the end; `serving` are the ones that a stream is at. `part`: what it may be asked for now of
    some bytes of a file, where that is not all of them. `peer`: it is another machine of the lab.
    """

    name: str
    streams: int
    dropped: str = ""
    busy: int = 0
    refused: dict[Transfer, str] = field(default_factory=dict)
    troubles: dict[Transfer, Trouble] = field(default_factory=dict)
    serial: set[Transfer] = field(default_factory=set)
    serving: set[Transfer] = field(default_factory=set)
    part: Callable[[Transfer, int, int], Range | None] | None = None
    peer: bool = False
    local: bool = False
    _most: int = 0
    _slowed: float = 0.0
    _rests_until: float = 0.0

    def __post_init__(self) -> None:
        self._most = self.streams

    def able(self, transfer: Transfer) -> bool:
        """Whether it may have the file."""
        return not self.dropped and transfer not in self.refused

    def gap(self, transfer: Transfer) -> tuple[int, int, bool] | None:
        """As `Transfer.gap`, of what it may be asked for now."""
        if self.part is None:
            return transfer.gap()
        for start, stop in transfer.missing(0, transfer.file.size):
            if found := self.part(transfer, start, stop):
                return (*found, transfer.taken_behind(found[0]))
        return None

    def gives(self, transfer: Transfer, start: int, stop: int) -> bool:
        """Whether it may be asked for all from `start` to `stop` now."""
        return self.part is None or self.part(transfer, start, stop) == (start, stop)

    def idle_for(self, transfer: Transfer, now: float) -> bool:
        """Whether one more stream can ask it for the file now."""
        return self.ready(transfer, now) and transfer not in self.serving

    def ready(self, transfer: Transfer, now: float) -> bool:
        """Whether it can be asked for the file now."""
        trouble = self.troubles.get(transfer)
        return now >= self._rests_until and not (trouble and now < trouble.until)

    def most(self, now: float) -> int:
        """How many streams it bears."""
        recovered = int((now - self._slowed) / RECOVERS_AFTER)
        return min(self.streams, self._most + recovered)

    def failed(
        self, transfer: Transfer, problem: Interrupted, began: float, came: int, patience: Patience
    ) -> None:
        """A request that `began` then broke off after `came` bytes."""
        now = time.monotonic()
        trouble = self.troubles.setdefault(transfer, Trouble())
        if began < trouble.since:
            return  # streams that fail together fail once
        trouble.tried = 1 if came and not problem.idle else trouble.tried + 1
        wait = patience.wait(trouble.tried, problem.retry_after)
        trouble.since, trouble.until = now, now + wait
        if trouble.tried >= patience.tries:
            self.refused[transfer] = f"{problem}, {trouble.tried} times in a row: try again later"
            return
        print(
            f"{transfer.file.path}: {problem}; again in {wait:.1f} s "
            f"({trouble.tried} of {patience.tries})",
            flush=True,
        )
        if problem.busy and began >= self._slowed:
            self._most = max(1, self.most(now) // 2)
            self._slowed, self._rests_until = now, now + wait


def its_turn(
    standing: Standing, standings: Sequence[Standing], transfer: Transfer, now: float
) -> bool:
    """Whether this source is to be asked for the file now, and none of the others first."""
    able = [each for each in standings if each.able(transfer)]
    if standing not in able or not standing.idle_for(transfer, now):
        return False
    trusted = [each for each in able if each.name not in transfer.avoided] or able
    equals = [each for each in trusted if each.local] or trusted
    if standing not in equals:
        return False
    # In the operator's order: who comes first has no stream that waits. Other machines of the lab
    # are beside it: what they have, no hub is asked for.
    return standing.peer or not any(
        each.busy < each.most(now) and each.idle_for(transfer, now)
        for each in equals[: equals.index(standing)]
        if not each.peer
    )
