"""weights fetch from the lab's hub with each of its faults: an error that helps, or right bytes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from deploys.remote import download
from deploys.remote.lib import progress, spec
from deploys.remote.lib.failure import Failure
from tests.unit.remote.hub_fetch import (
    FILES,
    MODEL,
    PIECE,
    SIZE,
    assert_there,
    fetch,
    hubs,
    sent,
    source,
    wanted,
)

BIG = f"{MODEL}/big.bin"
# What may pass: it goes well when tried again, and most of the bytes are not sent twice.
PASSING: dict[str, dict[str, Any]] = {
    "500 in the middle": {"kind": "status", "code": 500, "skip": 3, "count": 2},
    "503 and when to come back": {"kind": "status", "code": 503, "seconds": 0.1, "count": 2},
    "429 in the middle": {"kind": "status", "code": 429, "skip": 2, "count": 3},
    "408": {"kind": "status", "code": 408, "count": 1},
    "closed": {"kind": "close", "count": 3},
    "reset at a byte": {"kind": "reset", "at": 777, "count": 3},
    "silence": {"kind": "stall", "at": 50, "seconds": 20, "count": 1},
    "other bytes once": {"kind": "changed", "count": 1},
    "a redirect": {"kind": "redirect"},
}


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_survived(tmp_path: Path, fault: str) -> None:
    with hubs(tmp_path) as (hub,):
        settings = dict(PASSING[fault])
        kind = settings.pop("kind")
        hub.faults.add(kind, BIG, **settings)
        fetch(wanted(tmp_path / "m", [source(hub)]))
        assert_there(tmp_path / "m")
        twice = len(FILES["big.bin"]) if kind == "changed" else 4 * PIECE
        assert sent(hub) <= SIZE + twice + 2000


# What stays: the error says what, and nothing that could be loaded is left.
LASTING: dict[str, dict[str, Any]] = {
    "sha256 expected": {"kind": "changed"},
    "find|found": {"kind": "corrupt", "at": 1000},
    r"the listing says \d+": {"kind": "truncate"},
    "offers 0 bytes|a shorter file": {"kind": "truncate", "at": 0},
    "an HTML page": {"kind": "page"},
    "a Git LFS pointer": {"kind": "pointer"},
    "put a valid one into the token_file": {"kind": "status", "code": 401},
    "accept the model's licence": {"kind": "status", "code": 403},
    "check repository, revision": {"kind": "status", "code": 404},
    "resolve the listing again": {"kind": "status", "code": 416},
    "answers 500.* 4 times in a row": {"kind": "status", "code": 500},
    "answers 429.* 4 times in a row": {"kind": "status", "code": 429},
    "another byte range": {"kind": "wrong_range"},
    "no bytes for|bytes in": {"kind": "stall", "at": 0, "seconds": 20},
    r"redirects more than 10 times": {"kind": "redirect", "to": ""},
}


@pytest.mark.parametrize("said", LASTING)
def test_what_stays_is_reported_and_nothing_is_left_to_be_loaded(tmp_path: Path, said: str) -> None:
    with hubs(tmp_path) as (hub,):
        settings = dict(LASTING[said])
        if "to" in settings:
            settings["to"] = (
                f"{hub.url}/api/v1/models/{MODEL}/repo?Revision=master&FilePath=big.bin"
            )
        hub.faults.add(settings.pop("kind"), BIG, **settings)
        with pytest.raises(Failure, match=said) as failure:
            fetch(wanted(tmp_path / "m", [source(hub)]))
        assert "big.bin" in str(failure.value)
        assert not (tmp_path / "m" / "big.bin").exists()
        assert not (tmp_path / "m" / "manifest.json").exists()
        # And when it is over, the same call goes on from there.
        hub.faults.clear()
        fetch(wanted(tmp_path / "m", [source(hub)]))
        assert_there(tmp_path / "m")


@pytest.mark.parametrize("code", [401, 403, 404, 416])
def test_a_refusal_in_the_middle_keeps_what_came_before(tmp_path: Path, code: int) -> None:
    with hubs(tmp_path) as (hub,):
        hub.faults.add("status", BIG, code=code, skip=4)
        with pytest.raises(Failure, match=r"big\.bin"):
            fetch(wanted(tmp_path / "m", [source(hub)], workers=1))
        assert not (tmp_path / "m" / "big.bin").exists()
        hub.faults.clear()
        before = sent(hub)
        fetch(wanted(tmp_path / "m", [source(hub)], workers=1))
        assert_there(tmp_path / "m")
        assert before > PIECE and sent(hub) <= SIZE + PIECE


def test_a_crawling_stream_is_given_up(tmp_path: Path) -> None:
    with hubs(tmp_path) as (hub,):
        hub.faults.add("slow", BIG, rate=300, count=1)
        began = time.monotonic()
        fetch(wanted(tmp_path / "m", [source(hub)], workers=1))
        assert_there(tmp_path / "m")
        assert time.monotonic() - began < 8  # PIECE / 8 at that rate takes 27 s


def test_a_source_that_only_crawls_is_an_error(tmp_path: Path) -> None:
    with hubs(tmp_path) as (hub,):
        hub.faults.add("slow", BIG, rate=300)
        with pytest.raises(Failure, match=r"only \d+ bytes in \d+ s, 4 times in a row"):
            fetch(wanted(tmp_path / "m", [source(hub)], workers=1))


def test_another_revision_midway_is_not_mixed_in(tmp_path: Path) -> None:
    with hubs(tmp_path) as (hub,):
        hub.faults.add("changed", BIG, skip=4)
        with pytest.raises(Failure, match="sha256 expected"):
            fetch(wanted(tmp_path / "m", [source(hub)]))
        assert not (tmp_path / "m" / "big.bin").exists()
        pinned = source(hub, revision="0" * 40)
        with pytest.raises(Failure, match="check repository, revision"):
            fetch(wanted(tmp_path / "m", [pinned]))


def test_no_token_goes_where_a_redirect_leads(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-canary\n")
    with hubs(tmp_path, 2) as (hub, store):
        path = f"/api/v1/models/{MODEL}/repo?Revision=master&FilePath=big.bin"
        hub.faults.add("redirect", BIG, to=store.url + path)
        fetch(wanted(tmp_path / "m", [source(hub, token_file=str(token))]))
        assert_there(tmp_path / "m")
        assert all(request.authorized for request in hub.requests)
        assert store.requests and not any(request.authorized for request in store.requests)


def test_hex_digits_in_either_case(tmp_path: Path) -> None:
    with hubs(tmp_path) as (hub,):
        value = wanted(tmp_path / "m", [source(hub)])
        for file in value["files"]:
            file["sha256"] = file["sha256"].upper()
        fetch(value)
        assert_there(tmp_path / "m")


@pytest.mark.parametrize("path", ["../big.bin", "/etc/big.bin", "sub/../../big.bin", ".fetch/lock"])
def test_no_path_leads_out_of_the_directory(tmp_path: Path, path: str) -> None:
    with pytest.raises(Failure, match=r"unsafe path|our own record"):
        spec.parse(wanted(tmp_path / "m", [], {path: b"x"}))


@pytest.mark.parametrize("link", ["sub", "big.bin", ".fetch/part"])
def test_nothing_is_written_through_a_symbolic_link(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("keep me")
    target = tmp_path / "m"
    (target / ".fetch").mkdir(parents=True)
    with hubs(tmp_path) as (hub,):
        value = wanted(target, [source(hub)])
        if link == "big.bin":
            (target / link).symlink_to(outside / "precious")
            fetch(value)  # the name is taken over, what it led to stays
            assert_there(target)
        elif link == "sub":
            (target / link).symlink_to(outside)
            with pytest.raises(Failure, match="symbolic link"):
                fetch(value)
        else:
            from deploys.remote.merge.shards import state_name

            name = state_name(spec.parse(value).files[1])
            (target / ".fetch" / f"{name}.part").symlink_to(outside / "precious")
            with pytest.raises((Failure, OSError)):
                fetch(value)
    assert (outside / "precious").read_text() == "keep me"
    assert [path.name for path in outside.iterdir()] == ["precious"]


def test_the_time_of_day_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    with hubs(tmp_path) as (hub,):
        hub.faults.add("status", BIG, code=503, seconds=0.1, count=2)
        hub.faults.add("slow", BIG, rate=1_000_000)
        fetch(wanted(tmp_path / "m", [source(hub)]))
        assert_there(tmp_path / "m")
    waiting = sorted(Path(download.__file__).parent.glob("*.py"))
    waiting.append(Path(progress.__file__))
    assert len(waiting) > 8
    assert not [path for path in waiting if "time.time" in path.read_text()]
