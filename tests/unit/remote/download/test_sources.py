"""weights fetch from several places at once: who gives what, and who loses the right to."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from deploys.remote.lib.failure import Failure
from tests.unit.remote.hub_fetch import (
    FILES,
    MODEL,
    PIECE,
    QUICK,
    SIZE,
    assert_there,
    fetch,
    hubs,
    sent,
    source,
    wanted,
)

BIG = {"big.bin": FILES["big.bin"]}


def test_all_give_ranges_of_one_file_and_each_byte_is_sent_once(tmp_path: Path) -> None:
    with hubs(tmp_path, 2, BIG) as (one, two):
        for hub in (one, two):
            hub.faults.add("slow", rate=1_500_000)
        fetch(wanted(tmp_path / "m", [source(one), source(two)], BIG))
        assert_there(tmp_path / "m", BIG)
        assert sent(one) + sent(two) == len(BIG["big.bin"])
        assert min(sent(one), sent(two)) > 3 * PIECE
        assert {request.status for request in two.requests} == {206}


def test_what_the_first_can_give_alone_the_second_is_not_asked_for(tmp_path: Path) -> None:
    files = {"a": b"a" * 5000, "b": b"b" * 5000, "c": b"c" * 5000}
    with hubs(tmp_path, 2, files) as (one, two):
        fetch(wanted(tmp_path / "m", [source(one), source(two)], files))
        assert_there(tmp_path / "m", files)
        assert not two.requests


def test_a_hub_gives_only_what_a_folder_here_does_not(tmp_path: Path) -> None:
    with hubs(tmp_path) as (hub,):
        disk = tmp_path / "disk"
        shutil.copytree(tmp_path / "hub0" / MODEL, disk)
        (disk / "sub/more.bin").unlink()
        here = {"kind": "directory", "endpoint": str(disk)}
        fetch(wanted(tmp_path / "m", [source(hub), here]))
        assert_there(tmp_path / "m")
        assert sent(hub) == len(FILES["sub/more.bin"])


def test_a_slow_source_loses_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploys.remote.download.scheduler.SLOW_AFTER", 0.1)
    with hubs(tmp_path, 2, BIG) as (slow, quick):
        slow.faults.add("slow", rate=100_000)
        quick.faults.add("slow", rate=2_000_000)
        fetch(wanted(tmp_path / "m", [source(slow), source(quick)], BIG, workers=2))
        assert_there(tmp_path / "m", BIG)
        assert sent(quick) > 3 * sent(slow)


def test_the_rest_of_a_range_is_taken_from_a_stream_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploys.remote.download.scheduler.SLOW_AFTER", 0.2)
    with hubs(tmp_path, 2, BIG) as (hanging, well):
        hanging.faults.add("stall", seconds=20, at=1000)
        began = time.monotonic()
        sources = [source(hanging), source(well)]
        fetch(wanted(tmp_path / "m", sources, BIG), patience=replace(QUICK, silence=20))
        assert time.monotonic() - began < 10
        assert_there(tmp_path / "m", BIG)


@pytest.mark.parametrize("how", ["changed", "corrupt"])
def test_a_liar_is_found_out_dropped_and_named(
    tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with hubs(tmp_path, 3) as (one, liar, three):
        for hub in (one, liar, three):
            hub.faults.add("slow", rate=2_000_000)
        # The byte that is wrong lies where this one is sure to be asked for it.
        liar.faults.add(how, f"{MODEL}/*.bin", **({} if how == "changed" else {"at": PIECE * 5}))
        sources = [source(liar), source(one), source(three)]
        fetch(wanted(tmp_path / "m", sources, workers=2))
        assert_there(tmp_path / "m")
        said = capfd.readouterr().out
        if "wrong content" in said:  # somebody else may have given that one byte
            assert f"{liar.url}/{MODEL} is not used any more: what it gave of" in said
        assert f"{one.url}/{MODEL} is not used" not in said
        assert f"{three.url}/{MODEL} is not used" not in said
        assert how == "corrupt" or "not used any more" in said
        # Each in doubt costs its share once more, and the liar may have given of that, too.
        assert sent(one) + sent(liar) + sent(three) <= 3 * SIZE


def test_a_source_that_dies_is_done_without(tmp_path: Path) -> None:
    with hubs(tmp_path, 2, BIG) as (dying, other):
        dying.faults.add("slow", rate=400_000)
        other.faults.add("slow", rate=400_000)
        dying.faults.add("reset", skip=3, at=0)
        fetch(wanted(tmp_path / "m", [source(dying), source(other)], BIG, workers=2))
        assert_there(tmp_path / "m", BIG)
        assert sent(dying) and sent(other)


def test_all_sources_are_named_when_none_can_give_a_file(tmp_path: Path) -> None:
    with hubs(tmp_path, 2, BIG) as (one, two):
        one.faults.add("status", code=403)
        two.faults.add("status", code=404)
        with pytest.raises(Failure, match="licence") as failure:
            fetch(wanted(tmp_path / "m", [source(one), source(two)], BIG))
        assert one.url in str(failure.value) and f"{two.url}/{MODEL}: " in str(failure.value)


def test_too_busy_means_fewer_streams(tmp_path: Path) -> None:
    with hubs(tmp_path, 1, BIG) as (hub,):
        hub.faults.add("slow", rate=2_000_000)
        hub.faults.add("status", code=429, seconds=0.1, skip=4, count=1)
        fetch(wanted(tmp_path / "m", [source(hub)], BIG))
        assert_there(tmp_path / "m", BIG)
        assert sent(hub) < 1.1 * len(BIG["big.bin"]) + 1000


@pytest.mark.parametrize("others", [0, 1])
def test_a_source_without_ranges_gives_files_whole(tmp_path: Path, others: int) -> None:
    with hubs(tmp_path, 1 + others) as (plain, *more):
        plain.faults.add("no_range")
        plain.faults.add("close", f"{MODEL}/big.bin", count=1)
        sources = [source(plain), *(source(hub) for hub in more)]
        fetch(wanted(tmp_path / "m", sources))
        assert_there(tmp_path / "m")
        # At most the four that were asked before it was known, one by who had the beginning, and
        # once again after the break.
        asked = [request for request in plain.requests if request.name.endswith("big.bin")]
        assert len(asked) <= 6


def test_one_answer_without_ranges_brings_what_others_wait_for(tmp_path: Path) -> None:
    with hubs(tmp_path, 1, BIG) as (plain,):
        plain.faults.add("no_range")
        plain.faults.add("stall", seconds=20, at=0, skip=1, count=3)
        began = time.monotonic()
        fetch(wanted(tmp_path / "m", [source(plain)], BIG), patience=replace(QUICK, silence=20))
        assert time.monotonic() - began < 10
        assert_there(tmp_path / "m", BIG)
        assert len(plain.requests) <= 5
