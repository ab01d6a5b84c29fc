"""Waves of machines: one first, whole groups, and where a roll goes on."""

from __future__ import annotations

import pytest

from deploys.planning.group.waves import RolledHost, gateways, waves
from deploys.planning.inputs.refusal import Refusal


def hosts(count: int, machines: int = 1, of_class: str = "a") -> list[RolledHost]:
    return [
        RolledHost(name=f"{of_class}{number}", of_class=of_class, machines=machines)
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    ("count", "machines", "upto", "sizes"),
    [
        (100, 1, "1,10%,100%", [1, 9, 90]),
        (3, 1, "1,10%,100%", [1, 2]),
        (1, 1, "1,10%,100%", [1]),
        (0, 1, "1,10%,100%", []),
        (10, 1, "2,50%", [2, 3, 5]),
        (10, 1, "50", [10]),
        # A share of few may be less than the number before it.
        (10, 1, "2,10%,50%", [2, 3, 5]),
        # The canary is a whole group, and a group that begins in a wave ends in it.
        (8, 2, "1,50%", [2, 2, 4]),
        (9, 3, "1,50%", [3, 3, 3]),
        # The last one has nobody to serve with, which is refused by its plan.
        (5, 2, "1", [2, 3]),
    ],
)
def test_waves_grow_and_hold_whole_groups(
    count: int, machines: int, upto: str, sizes: list[int]
) -> None:
    there = hosts(count, machines)
    found = waves(there, upto)
    assert [len(wave) for wave in found] == sizes
    assert [name for wave in found for name in wave] == [host.name for host in there]


def test_groups_are_made_within_a_class() -> None:
    first, second = hosts(4, 2, "a"), hosts(2, 1, "b")
    mixed = [first[0], second[0], first[1], first[2], second[1], first[3]]
    found = waves(mixed, "1,3")
    assert found == [["a1", "a2"], ["b1"], ["a3", "a4", "b2"]]


def test_it_goes_on_where_it_stopped() -> None:
    whole = waves(hosts(10), "1,50%,100%")
    assert waves(hosts(10), "1,50%,100%", after=whole[0][-1]) == whole[1:]
    assert waves(hosts(10), "1,50%,100%", after=whole[1][-1]) == whole[2:]
    assert waves(hosts(10), "1,50%,100%", after="a10") == []


@pytest.mark.parametrize(
    ("upto", "after", "said"),
    [
        ("1,x", None, "'x' of the waves"),
        ("", None, "is no number of hosts"),
        ("0", None, "is no number of hosts"),
        ("1", "b9", "There is no host b9. Name one of the inventory: a1, a2"),
    ],
)
def test_what_is_none_is_refused(upto: str, after: str | None, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        waves(hosts(10), upto, after)
    assert said in str(refused.value)


def test_gateways_that_have_others_to_ask_are_told() -> None:
    def host(name: str, *asks: str) -> RolledHost:
        return RolledHost(name=name, of_class="a", machines=1, asks=frozenset(asks))

    there = [host("a", "a", "b"), host("b"), host("c", "c"), host("d", "d", "b", "c")]
    assert gateways(there, ["b"]) == ["a", "d"]
    # Its own is told as well.
    assert gateways(there, ["a"]) == ["a"]
    # Who has nobody else cannot do without.
    assert gateways(there, ["a", "b"]) == ["d"]
    assert gateways(there, ["c"]) == ["d"]
    assert gateways(there, ["a", "b", "c", "d"]) == []
