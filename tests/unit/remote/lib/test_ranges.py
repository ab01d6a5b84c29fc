"""Ranges against the plain set of their bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deploys.remote.lib.ranges import Ranges

pairs = st.tuples(st.integers(0, 40), st.integers(0, 40))


@given(st.lists(st.tuples(st.booleans(), pairs)), pairs)
def test_ranges_are_sets_of_bytes(
    changes: list[tuple[bool, tuple[int, int]]], where: tuple[int, int]
) -> None:
    ranges, expected = Ranges(), set()
    for adds, (start, stop) in changes:
        if adds:
            ranges.add(start, stop)
            expected |= set(range(start, stop))
        else:
            ranges.remove(start, stop)
            expected -= set(range(start, stop))
    found = list(ranges)
    assert {byte for start, stop in found for byte in range(start, stop)} == expected
    # None is empty, none touches the next.
    assert all(start < stop for start, stop in found)
    assert all(stop < start for (_, stop), (start, _) in pairwise(found))
    assert ranges.total == len(expected)
    start, stop = where
    missing = [byte for low, high in ranges.gaps(start, stop) for byte in range(low, high)]
    assert missing == [byte for byte in range(start, stop) if byte not in expected]
    until = start
    while until in expected:
        until += 1
    assert ranges.until(start) == until
