"""Which cards and machines of a batch are not like their siblings."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.planning.acceptance.outliers import outliers, z_scores


def report(serial: str, hosts: list[float], *, narrow: int | None = None) -> dict[str, Any]:
    """A machine whose cards copy from the host at so many GB/s; one may be in half a slot."""
    cards = [
        {
            **{"index": index, "address": f"0000:{index:02x}:00.0", "name": "A100"},
            **{"lanes": 8 if index == narrow else 16, "lanes_max": 16},
        }
        for index in range(len(hosts))
    ]
    copies = [
        {"index": index, "memory": None, "host": speed, "peer": None}
        for index, speed in enumerate(hosts)
    ]
    return {
        "name": "m",
        "machine": {"serial": serial},
        "cards": cards,
        "services": [{"model": "r1", "engine": "vllm"}],
        "quick": False,
        "fabric": {"cards": copies},
        "samples": {"at": [], "cards": {}},
        "disk": None,
        "load": {},
    }


ALIKE = [25.1, 25.0, 24.9, 25.2, 25.0, 25.1, 24.8, 25.0]


def test_the_card_that_is_slower_than_its_siblings_is_named() -> None:
    slow = [*ALIKE[:5], 23.5, *ALIKE[6:]]
    found = outliers([report("4710", ALIKE), report("4711", slow, narrow=5)])
    assert [str(each) for each in found] == [
        "GPU 5 of SN 4711: 6% below its siblings in copies: host, PCIe x8"
    ]


def test_nothing_stands_out_where_all_are_alike() -> None:
    assert outliers([report("4710", ALIKE), report("4711", ALIKE[::-1])]) == []


def test_four_do_not_say_which_of_them_is_the_odd_one() -> None:
    assert outliers([report("1", [25, 25, 25, 5])]) == []


def test_a_difference_that_nobody_notices_is_none() -> None:
    assert outliers([report("1", [25.0, 25.0, 25.0, 25.0, 25.0, 25.4])]) == []


def test_others_models_are_no_siblings() -> None:
    other = {**report("2", [5.0] * 4), "services": [{"model": "other", "engine": "vllm"}]}
    assert outliers([report("1", ALIKE), other]) == []


@pytest.mark.parametrize(
    ("values", "odd"),
    [
        ([10, 10, 10, 10, 1], 4),  # More than half are equal.
        ([10, 11, 9, 10, 50], 4),
        ([10, 11, 9, 10, 50, 51], 4),  # Two that are odd do not hide each other.
    ],
)
def test_the_odd_ones_are_far_out(values: list[float], odd: int) -> None:
    scores = [abs(z) for z in z_scores(values)]
    assert scores[odd] > 3.5 > max(scores[:4])


def test_where_all_are_equal_nobody_is_out() -> None:
    assert z_scores([3.0, 3.0, 3.0]) == [0, 0, 0]
