"""Sets of byte ranges of a file."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class Ranges:
    """Sorted byte ranges, (start, stop) with `stop` excluded, that neither touch nor overlap."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in ranges:
            self.add(start, stop)

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._starts, self._stops)))

    @property
    def total(self) -> int:
        """Number of bytes in all ranges."""
        return sum(self._stops) - sum(self._starts)

    def add(self, start: int, stop: int) -> None:
        """Add the bytes from `start` to `stop`."""
        if start >= stop:
            return
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]

    def remove(self, start: int, stop: int) -> None:
        """Remove the bytes from `start` to `stop`."""
        if start >= stop:
            return
        first = bisect_right(self._stops, start)
        last = bisect_left(self._starts, stop)
        if first >= last:
            return
        kept = [(self._starts[first], start), (stop, self._stops[last - 1])]
        kept = [(low, high) for low, high in kept if low < high]
        self._starts[first:last] = [low for low, _ in kept]
        self._stops[first:last] = [high for _, high in kept]

    def until(self, position: int) -> int:
        """Return where the range that has `position` ends, or `position` itself if none has it."""
        at = bisect_right(self._starts, position) - 1
        return max(position, self._stops[at]) if at >= 0 else position

    def gap(self, start: int, stop: int) -> Range | None:
        """Return the first range from `start` to `stop` that is missing, or None if nothing is."""
        low = self.until(start)
        if low >= stop:
            return None
        at = bisect_right(self._starts, low)
        high = self._starts[at] if at < len(self._starts) else stop
        return low, min(high, stop)

    def gaps(self, start: int, stop: int) -> Iterator[Range]:
        """Yield every range from `start` to `stop` that is missing."""
        while (gap := self.gap(start, stop)) is not None:
            yield gap
            start = gap[1]

    def part(self, start: int, stop: int) -> Range | None:
        """Return the first range from `start` to `stop` that is present, or None if nothing is."""
        at = bisect_right(self._stops, start)
        if at == len(self._starts) or self._starts[at] >= stop:
            return None
        return max(start, self._starts[at]), min(stop, self._stops[at])
