"""The state of a source during one run: what it lacks, and how many streams it can serve."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..lib.ranges import Range
from .http import Interrupted
from .source import RetryPolicy
from .transfer import Transfer

# Seconds without an answer `too busy` after which one stream more is tried.
RECOVERS_AFTER = 60.0


@dataclass
class Trouble:
    """Failures with one file: `tried` in a row, the last at `since`, no retry before `until`."""

    tried: int = 0
    since: float = 0.0
    until: float = 0.0


@dataclass(eq=False)
class SourceHealth:
    """The state of one source; those that are `local`, on this machine, are preferred.

    `dropped`: why it is not used any more. `busy` of its `streams` have something to do. `serial`:
    files that it sends only from start to end; `serving`: those that a stream is reading now.
    `part`: returns what it may be asked for now of some bytes of a file, if that is not all of
    them. `peer`: it is another machine of the site.
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
        """Return whether the source may have the file."""
        return not self.dropped and transfer not in self.refused

    def gap(self, transfer: Transfer) -> tuple[int, int, bool] | None:
        """Return the same as `Transfer.gap`, limited to what the source may be asked for now."""
        if self.part is None:
            return transfer.gap()
        for start, stop in transfer.missing(0, transfer.file.size):
            if found := self.part(transfer, start, stop):
                return (*found, transfer.any_taken_after(found[0]))
        return None

    def gives(self, transfer: Transfer, start: int, stop: int) -> bool:
        """Return whether the source may be asked for all bytes from `start` to `stop` now."""
        return self.part is None or self.part(transfer, start, stop) == (start, stop)

    def idle_for(self, transfer: Transfer, now: float) -> bool:
        """Return whether one more stream can request the file from the source now."""
        return self.ready(transfer, now) and transfer not in self.serving

    def ready(self, transfer: Transfer, now: float) -> bool:
        """Return whether the source can be asked for the file now."""
        trouble = self.troubles.get(transfer)
        return now >= self._rests_until and not (trouble and now < trouble.until)

    def most(self, now: float) -> int:
        """Return how many streams the source can serve at this time."""
        recovered = int((now - self._slowed) / RECOVERS_AFTER)
        return min(self.streams, self._most + recovered)

    def failed(
        self,
        transfer: Transfer,
        problem: Interrupted,
        began: float,
        came: int,
        patience: RetryPolicy,
    ) -> None:
        """Record that a request, started at `began`, broke off after `came` bytes."""
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
    standing: SourceHealth, standings: Sequence[SourceHealth], transfer: Transfer, now: float
) -> bool:
    """Return whether to ask this source for the file now, and none of the others first."""
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
