"""Whose turn it is to ask the hub, and what other machines have: decided without a network."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from deploys.remote.lib.ranges import Range
from deploys.remote.lib.spec import ListedFile, Sharing
from deploys.remote.peers.peers import LEAST, LIFE, LONGEST_START, PIECE, STAGGER, STANDSTILL, Peers

NAMES = ("a", "b", "c", "d")
# Pieces of both files are numbered in one row: 0 to 9, and 10 to 13.
LARGE = ListedFile("large", 10 * PIECE, "1" * 64)
SMALL = ListedFile("small", 3 * PIECE + 5, "2" * 64)


class Clock:
    """A time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def peers(clock: Clock, me: str = "a", files: Sequence[ListedFile] = (LARGE, SMALL)) -> Peers:
    others = tuple(name for name in NAMES if name != me)
    sharing = Sharing(folder=None, me=me, others=others)  # type: ignore[arg-type]
    return Peers(sharing, files, threading.Event(), clock=clock)


def report(beat: int = 1, *, last: bool = False, **have: Sequence[Range]) -> dict[str, Any]:
    files = {"large": LARGE, "small": SMALL}
    told = {files[k].sha256: {"head": 0, "place": 0, "have": v} for k, v in have.items()}
    return {"fetch": 7, "beat": beat, "last": last, "files": told}


def turns(found: Peers, file: ListedFile = LARGE) -> list[int]:
    """The numbers of the pieces of a file that this machine asks the hub for."""
    numbers, position = [], 0
    while (part := found.next_hub_range(file, position, file.size)) is not None:
        assert part[0] % PIECE == 0
        numbers.append(part[0] // PIECE)
        position = part[1]
    return numbers


def alive(found: Peers, *names: str) -> None:
    for peer in found.all:
        if peer.name in names:
            found.update_from_report(peer, report(beat=int(found._clock() * 100)))


def test_every_piece_is_asked_for_by_one_machine(clock: Clock) -> None:
    """At the start all are counted on; each has pieces of the beginning."""
    all_of_them = {name: peers(clock, name) for name in NAMES}
    dealt = [turns(found) for found in all_of_them.values()]
    assert dealt == [[0, 4, 8], [1, 5, 9], [2, 6], [3, 7]]
    assert [turns(found, SMALL) for found in all_of_them.values()] == [[2], [3], [0], [1]]


def test_who_never_came_has_its_pieces_dealt_out(clock: Clock) -> None:
    one, two = peers(clock, "a"), peers(clock, "b")
    for _ in range(3):
        clock.now += LONGEST_START / 2
        alive(one, "b")
        alive(two, "a")
    assert sorted(turns(one) + turns(two)) == list(range(10))
    assert {0, 4, 8} <= {*turns(one)} and {1, 5, 9} <= {*turns(two)}


def test_who_has_died_has_its_pieces_dealt_out(clock: Clock) -> None:
    found = peers(clock)
    alive(found, "b", "c", "d")
    clock.now += LIFE - 1
    alive(found, "b", "c")
    assert turns(found) == [0, 4, 8]
    clock.now += 2
    assert turns(found) == [0, 3, 4, 8]  # d's pieces: 3 is ours now, 7 that of b


def test_a_small_model_is_not_waited_for(clock: Clock) -> None:
    tiny = ListedFile("large", 1000, "1" * 64)
    found = peers(clock, "b", [tiny])
    assert turns(found, tiny) == []
    clock.now += 0.01
    assert turns(found, tiny) == [0]


def test_nobody_asks_the_hub_for_what_another_machine_has(clock: Clock) -> None:
    found = peers(clock)
    found.update_from_report(
        found.all[0], report(large=[(0, PIECE), (4 * PIECE, 4 * PIECE + LEAST)])
    )
    assert found.next_hub_range(LARGE, 0, LARGE.size) == (8 * PIECE, 9 * PIECE)
    # What it gets next of piece 4 it will give soon; what is before, it does not have.
    found.update_from_report(found.all[0], report(2, large=[(4 * PIECE + 10, 5 * PIECE)]))
    assert found.next_hub_range(LARGE, 4 * PIECE, 5 * PIECE) == (4 * PIECE, 4 * PIECE + 10)


def test_a_machine_that_has_all_gives_all_and_has_no_turn(clock: Clock) -> None:
    found = peers(clock)
    whole = {"large": [(0, LARGE.size)], "small": [(0, SMALL.size)]}
    found.update_from_report(found.all[2], report(last=True, **whole))
    assert turns(found) == turns(found, SMALL) == []
    assert found.all[2].gives(LARGE, 3, LARGE.size) == (3, 3 + PIECE)
    # If nothing more is heard of it, its pieces are not waited for either.
    found.all[2].offers, found.all[2].complete = {}, False
    clock.now += LONGEST_START + LIFE
    assert turns(found) == list(range(10))


def test_nothing_small_is_taken_while_more_is_coming(clock: Clock) -> None:
    found = peers(clock)
    peer = found.all[0]
    found.update_from_report(peer, report(large=[(0, LEAST - 1)], small=[(3 * PIECE, SMALL.size)]))
    assert peer.gives(LARGE, 0, LARGE.size) is None
    assert peer.gives(LARGE, 0, 100) == (0, 100)
    assert peer.gives(SMALL, 0, SMALL.size) == (3 * PIECE, SMALL.size)
    found.update_from_report(peer, report(2, large=[(PIECE - 3, PIECE), (2 * PIECE, 5 * PIECE)]))
    assert peer.gives(LARGE, 0, LARGE.size) == (PIECE - 3, PIECE)
    assert peer.gives(LARGE, PIECE, LARGE.size) == (2 * PIECE, 3 * PIECE)


def test_who_is_dropped_gives_nothing_and_is_not_counted_on(clock: Clock) -> None:
    found = peers(clock)
    found.update_from_report(found.all[0], report(large=[(0, LARGE.size)]))
    found.drop("b")
    assert found.all[0].gives(LARGE, 0, LARGE.size) is None
    assert {*turns(found)} > {0, 4, 8}


def test_a_standstill_is_ended_by_one_machine_after_the_other(clock: Clock) -> None:
    first, second = peers(clock, "a"), peers(clock, "b")
    for _ in range(int(STANDSTILL / 2) + 1):
        clock.now += 2
        alive(first, "b", "c", "d")
        alive(second, "a", "c", "d")
        second.came(1)
    assert turns(first) == list(range(10))
    assert turns(second) == [1, 5, 9]
    first.came(5)
    assert turns(first) == [0, 4, 8]
    for _ in range(int((STANDSTILL + STAGGER) / 2) + 1):
        clock.now += 2
        alive(second, "a", "c", "d")
    assert turns(second) == list(range(10))


def test_the_same_report_is_no_sign_of_life(clock: Clock) -> None:
    found = peers(clock)
    assert found.update_from_report(found.all[0], report())
    clock.now += LIFE + LONGEST_START
    assert not found.update_from_report(found.all[0], report())
    assert {*turns(found)} > {0, 4, 8}


@pytest.mark.parametrize("value", [None, [], {}, {"fetch": 1, "beat": 1, "last": 0, "files": 3}])
def test_a_report_that_is_none_is_an_error_of_the_kind_that_is_caught(
    clock: Clock, value: object
) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        found = peers(clock)
        found.update_from_report(found.all[0], value)
