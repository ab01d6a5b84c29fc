"""What cannot become one file is refused, with the reason, before a byte is written."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploys.remote.formats.shard_set import find_set
from deploys.remote.lib import space
from deploys.remote.lib.failure import Failure
from deploys.remote.merge.merge import join
from tests.unit.remote import support
from tests.unit.remote.merge.test_merge import (
    FIRST,
    GROUPS,
    MERGED,
    SHARDS,
    WHOLE,
    Killed,
    assert_made,
    cut,
    dying,
    written,
)

NAMES = list(SHARDS)
OTHER = support.split([[("other.a", b"1" * 40)], [("other.b", b"2" * 40)], [("other.c", b"3")]])


def changed(number: int, **changes: list[bytes]) -> dict[str, bytes]:
    """The shards with shard `number` (from 0) written differently."""
    pairs = changes.get("pairs") or support.split_pairs(number, 3, 5)
    return {**SHARDS, NAMES[number]: support.gguf(pairs, changes.get("tensors") or GROUPS[number])}


ALIGNED = [
    *support.split_pairs(1, 3, 5),
    support.pair("general.alignment", 4, struct.pack("<I", 64)),
]
BAD_SHARDS = {
    "missing: number 2": {name: SHARDS[name] for name in (NAMES[0], NAMES[2])},
    "missing: number 2, 3": {NAMES[0]: SHARDS[NAMES[0]]},
    "more than one set of tiny: of 3 shards and of 4": {
        **SHARDS,
        "tiny-00001-of-00004.gguf": SHARDS[NAMES[0]],
    },
    "00002.* is shard 3, expected 2: swapped": {
        **SHARDS,
        NAMES[1]: SHARDS[NAMES[2]],
        NAMES[2]: SHARDS[NAMES[1]],
    },
    "00002.* is shard 1, expected 2": {**SHARDS, NAMES[1]: SHARDS[NAMES[0]]},
    "says 3 tensors, its shards have 5": {**SHARDS, NAMES[1]: OTHER[list(OTHER)[1]]},
    "00002.* from a set of 4": changed(1, pairs=support.split_pairs(1, 4, 5)),
    "is in two shards": changed(1, tensors=GROUPS[0]),  # type: ignore[arg-type]
    "00002.* is not a GGUF file: a Git LFS pointer": {
        **SHARDS,
        NAMES[1]: b"version https://git-lfs.github.com/spec/v1\n",
    },
    "00003.* is not a GGUF file: an HTML page": {**SHARDS, NAMES[2]: b"<!DOCTYPE html>"},
    "00002.* ends inside its header": {**SHARDS, NAMES[1]: b""},
    "00003.* truncated": {**SHARDS, NAMES[2]: SHARDS[NAMES[2]][:-40]},
    "00003.* goes on for 32 bytes": {**SHARDS, NAMES[2]: SHARDS[NAMES[2]] + bytes(32)},
    "00002.* general.alignment 64": changed(1, pairs=ALIGNED),
}


@pytest.mark.parametrize("said", BAD_SHARDS)
def test_shards(tmp_path: Path, said: str) -> None:
    folder = written(tmp_path / "old", BAD_SHARDS[said])
    assert_refused(folder / FIRST, said)


def test_numbers_may_begin_at_0(tmp_path: Path) -> None:
    """What becomes one file needs no names that anything else finds."""
    names = [f"tiny-{number:05d}-of-00003.gguf" for number in range(3)]
    folder = written(tmp_path / "old", dict(zip(names, SHARDS.values(), strict=True)))
    found = find_set(folder / names[0])
    assert [part.path.name for part in found.parts] == names and found.size == len(MERGED)
    (folder / names[1]).unlink()
    with pytest.raises(Failure, match="missing: number 1"):
        find_set(folder / names[0])


PIECES = cut(WHOLE, ["t.gguf.part1of3", "t.gguf.part2of3", "t.gguf.part3of3"])
ONE, TWO, THREE = PIECES
BAD_PIECES = {
    "missing: number 2": {ONE: PIECES[ONE], THREE: PIECES[THREE]},
    "the last pieces are missing": {
        "t.gguf.part1": PIECES[ONE],
        "t.gguf.part2": PIECES[TWO],
    },
    "have .* bytes, the header of the whole says .* one is truncated": {
        **PIECES,
        TWO: PIECES[TWO][:-1],
    },
    "a piece is there twice": {**PIECES, THREE: PIECES[THREE] * 2},
    "part1of3 is not a GGUF file": {**PIECES, ONE: PIECES[TWO], TWO: PIECES[ONE]},
    "part2of3 is a Git LFS pointer": {**PIECES, TWO: b"version https://git-lfs.github.com/s\n"},
    "part2of3 is an HTML page": {**PIECES, TWO: b"<html>no such file</html>"},
    "part3of3 is empty": {**PIECES, THREE: b""},
    "part2of3 is a GGUF file of its own": {**PIECES, TWO: SHARDS[NAMES[1]]},
    "are the same part": {
        "t.gguf.part1": PIECES[ONE],
        "t.gguf.part01": PIECES[ONE],
        "t.gguf.part2": PIECES[TWO],
    },
    "is one part too many": {**PIECES, "t.gguf.part4of3": b"x"},
}


@pytest.mark.parametrize("said", BAD_PIECES)
def test_pieces(tmp_path: Path, said: str) -> None:
    folder = written(tmp_path / "old", BAD_PIECES[said])
    assert_refused(folder / sorted(BAD_PIECES[said])[-1 if "same part" in said else 0], said)


def test_the_first_part_is_to_be_named(tmp_path: Path) -> None:
    folder = written(tmp_path / "old", {**SHARDS, **PIECES, "model.gguf": WHOLE})
    assert_refused(folder / NAMES[1], f"not the first part: name {FIRST}")
    assert_refused(folder / TWO, f"not the first part: name {ONE}")
    assert_refused(folder / "nothing.gguf", "is not a file: name the first shard")
    assert_refused(folder / "model.gguf", "named neither like a shard")


def test_a_link_is_not_freed(tmp_path: Path) -> None:
    folder = written(tmp_path / "blobs", SHARDS)
    for name in NAMES:
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(Failure, match="would free nothing"):
        join(tmp_path / FIRST, tmp_path / "new" / "t.gguf", free=True)
    assert join(tmp_path / FIRST, tmp_path / "new" / "t.gguf")


def test_an_unfinished_fetch_is_left_alone(tmp_path: Path) -> None:
    folder = written(tmp_path / "old", SHARDS)
    written(folder / ".fetch", {"journal": b""})
    with pytest.raises(Failure, match=r"a fetch into .* is unfinished"):
        join(folder / FIRST, folder / "t.gguf")


def assert_refused(first: Path, said: str) -> None:
    new = first.parent.parent / "new"
    with pytest.raises(Failure, match=said):
        join(first, new / "t.gguf", free=True)
    assert not new.exists()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system that is too small for the model, and can grow."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_no_room_is_reported_before_anything_is_written(tmp_path: Path, small: Path) -> None:
    folder = written(tmp_path / "old", SHARDS)
    for free in (False, True):  # what is freed elsewhere makes no room here
        with pytest.raises(Failure, match=r"no space on .*small: 3.* kB needed"):
            join(folder / FIRST, small / "m" / "t.gguf", free=free)
    assert not list(small.rglob("*.part"))


def test_a_disk_that_fills_up_meanwhile(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = written(tmp_path / "old", SHARDS), small / "m" / "t.gguf"
    with monkeypatch.context() as patch:
        patch.setattr(space, "require", lambda *_: None)
        for free in (False, True):
            with pytest.raises(Failure, match=r"no space left on .*what is there is kept"):
                join(folder / FIRST, output, free=free)
            assert not output.exists()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
    join(folder / FIRST, output, free=True)
    assert_made(output, MERGED, SHARDS)


def test_a_file_system_that_cannot_be_written(tmp_path: Path, small: Path) -> None:
    folder = written(tmp_path / "old", SHARDS)
    (small / "m").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with pytest.raises(Failure, match=r"small is read-only"):
        join(folder / FIRST, small / "m" / "t.gguf")


@pytest.mark.parametrize("where", ["in its data", "in its header", "in its length"])
def test_a_part_that_is_replaced_meanwhile(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = written(tmp_path / "old", SHARDS), tmp_path / "new" / "t.gguf"
    with pytest.raises(Killed), dying(200_000, monkeypatch):
        join(folder / FIRST, output, sync_bytes=100)
    name, tensors = {
        "in its data": ("token_embd", GROUPS[0][0][1][::-1]),
        "in its header": ("other_embd", GROUPS[0][0][1]),
        "in its length": ("token_embd", GROUPS[0][0][1] * 2),
    }[where]
    groups = [[(name, tensors), GROUPS[0][1]], *GROUPS[1:]]
    files = support.split(groups)
    (folder / FIRST).write_bytes(files[FIRST])
    join(folder / FIRST, output)
    assert_made(output, support.merged(groups), files)


def test_a_part_that_is_replaced_when_others_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = written(tmp_path / "old", SHARDS), tmp_path / "new" / "t.gguf"
    with pytest.raises(Killed), dying(100_000, monkeypatch):
        join(folder / FIRST, output, sync_bytes=100, free=True)
    assert not (folder / FIRST).exists()
    (folder / NAMES[1]).write_bytes(OTHER[list(OTHER)[1]])
    with pytest.raises(Failure, match=r"another size or header .* bring that file back"):
        join(folder / FIRST, output, free=True)
    (folder / NAMES[1]).write_bytes(SHARDS[NAMES[1]])
    join(folder / FIRST, output, free=True)
    assert_made(output, MERGED, SHARDS)
