"""weights fetch on disks that are full, out of inodes, read-only, or in another fetch's hands."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deploys.remote.lib import space
from deploys.remote.lib.failure import Failure
from deploys.remote.lib.lock import held
from tests.unit import ROOT
from tests.unit.remote import support
from tests.unit.remote.hub_fetch import (
    FILES,
    PIECE,
    SIZE,
    assert_there,
    fetch,
    hubs,
    sent,
    source,
    wanted,
)

SHARDS = support.split([[("a", FILES["big.bin"])], [("b", FILES["sub/more.bin"])]])
Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """`mount(options)` is a small file system of its own; a second call gives it other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mounted(options: str) -> Path:
        if os.path.ismount(place):
            options = f"remount,{options}"
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        return place

    yield mounted
    subprocess.run(["umount", str(place)], capture_output=True)


@pytest.fixture
def unprepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up after it was found to have room."""
    monkeypatch.setattr(space, "require", lambda *_: None)
    monkeypatch.setattr(space, "allocate", lambda fd, size: os.ftruncate(fd, size))


def test_no_space_is_reported_before_a_byte_is_written(tmp_path: Path) -> None:
    value = wanted(tmp_path / "m", [{"kind": "http", "endpoint": "http://127.0.0.1:9"}])
    value["files"][0]["size"] = 10**16
    with pytest.raises(Failure, match=r"no space on /.* needed .* free"):
        fetch(value)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [("size=300k", "no space on"), ("nr_inodes=4", "no inodes|no space"), ("ro", "is read-only")],
)
def test_a_disk_that_will_not_do_is_named_before_anything_is_asked_for(
    tmp_path: Path, mount: Mount, options: str, said: str
) -> None:
    disk = mount(options)
    with hubs(tmp_path) as (hub,):
        with pytest.raises(Failure, match=said) as failure:
            fetch(wanted(disk / "m", [source(hub)]))
        assert str(disk) in str(failure.value)
        assert not hub.requests


@pytest.mark.parametrize("room", [100, 300, 600, 900, 1200, 1500])
@pytest.mark.parametrize("merging", [False, True])
def test_full_at_any_point_and_room_lets_it_go_on(
    tmp_path: Path, mount: Mount, unprepared: None, room: int, merging: bool
) -> None:
    files = SHARDS if merging else FILES
    disk = mount(f"size={room}k")
    with hubs(tmp_path, 1, files) as (hub,):
        merge = {"merge": {"output": "merged.gguf"}} if merging else {}
        value = wanted(disk / "m", [source(hub)], files, **merge)
        with pytest.raises(Failure, match=r"no space left on .* make room and run again"):
            fetch(value)
        assert not list((disk / "m").glob("manifest.json"))
        before = sent(hub)
        mount("size=16m")
        fetch(value)
        # What was sent and not kept was under way when it happened.
        assert sent(hub) <= SIZE + 5 * PIECE + (before // 2) + 4000
    if merging:
        merged = support.merged([[("a", FILES["big.bin"])], [("b", FILES["sub/more.bin"])]])
        assert (disk / "m" / "merged.gguf").read_bytes() == merged
    else:
        assert_there(disk / "m")


def test_out_of_inodes_midway(tmp_path: Path, mount: Mount, unprepared: None) -> None:
    disk = mount("size=16m,nr_inodes=7")
    with hubs(tmp_path) as (hub,):
        with pytest.raises(Failure, match=r"no space left on .* 0 inodes free"):
            fetch(wanted(disk / "m", [source(hub)]))
        mount("size=16m,nr_inodes=100")
        fetch(wanted(disk / "m", [source(hub)]))
    assert_there(disk / "m")


def test_a_disk_that_fails_is_named_without_looking_at_it() -> None:
    said = space.explain(OSError(errno.EIO, os.strerror(errno.EIO)), Path("/data/models/m"))
    assert "the disk of /data/models/m fails: Input/output error" in str(said)
    assert "journalctl -k" in str(said)


def test_filled_by_somebody_else_in_the_middle(tmp_path: Path, mount: Mount) -> None:
    disk = mount("size=4m")
    with hubs(tmp_path) as (hub,):
        hub.faults.add("slow", rate=200_000)
        threading.Timer(0.3, fill, [disk / "filler"]).start()
        # All of it was reserved, or this file was not begun: no third way.
        with suppress(Failure):
            fetch(wanted(disk / "m", [source(hub)], workers=1))
        hub.faults.clear()
        (disk / "filler").unlink()
        fetch(wanted(disk / "m", [source(hub)]))
    assert_there(disk / "m")


def test_two_fetchers_never_write_at_once(tmp_path: Path) -> None:
    with (
        hubs(tmp_path) as (hub,),
        held(tmp_path / "m" / ".fetch" / "lock"),
        pytest.raises(Failure, match="another fetch is writing"),
    ):
        fetch(wanted(tmp_path / "m", [source(hub)]))


def test_two_processes_into_one_target(tmp_path: Path) -> None:
    with hubs(tmp_path) as (hub,):
        hub.faults.add("slow", rate=500_000)
        (tmp_path / "spec").write_text(json.dumps(wanted(tmp_path / "m", [source(hub)])))
        command = [sys.executable, "-m", "deploys.remote", "weights", "fetch", tmp_path / "spec"]
        both = [
            subprocess.Popen(command, cwd=ROOT, stdout=-3, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        said = [process.communicate()[1] for process in both]
        codes = [process.returncode for process in both]
        assert 0 in codes
        for code, text in zip(codes, said, strict=True):
            assert code == 0 or "another fetch is writing" in text
        assert sent(hub) == SIZE
    assert_there(tmp_path / "m")


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
