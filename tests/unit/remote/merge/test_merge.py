"""Shards and pieces on disk become one file: the bytes, and what is left after a kill."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.remote.download import fetch
from deploys.remote.lib import space, spec
from deploys.remote.lib.failure import Failure
from deploys.remote.merge import merge as program
from deploys.remote.merge import merge_state, pipe
from deploys.remote.merge.merge import join
from deploys.remote.model_dir import manifest
from tests import temporary
from tests.unit.remote import support

# Where syncing costs nothing, if there is such a place.
QUICK_DISK = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
GROUPS = [
    [("token_embd", bytes(range(256)) * 300), ("blk.0.a", b"x" * 33)],
    [("blk.0.b", b"yz" * 70_000)],
    [("blk.1.a", b"a" * 32), ("blk.1.b", b"b" * 90_001)],
]
SHARDS = support.split(GROUPS)
MERGED = support.merged(GROUPS)
WHOLE = support.gguf(support.MODEL, [tensor for group in GROUPS for tensor in group])
FIRST = min(SHARDS)
DIGESTS = {name: hashlib.sha256(data).hexdigest() for name, data in SHARDS.items()}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return written(tmp_path / "shards", SHARDS)


def written(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def cut(data: bytes, names: list[str]) -> dict[str, bytes]:
    """`data` in as many pieces as there are names."""
    step = -(-len(data) // len(names))
    return {name: data[n * step : (n + 1) * step] for n, name in enumerate(names)}


def assert_made(output: Path, expected: bytes, parts: dict[str, bytes]) -> None:
    assert output.read_bytes() == expected
    assert output.stat().st_mode & 0o777 == 0o644
    found = manifest.load(output.parent / "manifest.json")
    assert found and found.merged and manifest.holds(output.parent, output.name)
    assert {each.path: each.sha256 for each in found.files} == {
        output.name: hashlib.sha256(expected).hexdigest()
    }
    assert [vars(each) for each in found.sources] == support.listing(parts)
    assert sorted(path.name for path in output.parent.iterdir()) == sorted(
        [".fetch", "manifest.json", output.name]
    )
    heads = [".head"] * sum("-of-" in name for name in parts)
    left = (output.parent / ".fetch").iterdir()
    assert sorted(path.suffix or path.name for path in left) == [*heads, "lock"]


@pytest.mark.parametrize("free", [False, True])
def test_shards(tmp_path: Path, shards: Path, free: bool) -> None:
    output = tmp_path / "new" / "tiny.gguf"
    assert join(shards / FIRST, output, digests=DIGESTS, free=free)
    assert_made(output, MERGED, SHARDS)
    assert sorted(path.name for path in shards.iterdir()) == ([] if free else sorted(SHARDS))
    assert join(shards / FIRST, output) is None


def test_endings_in_capitals_are_endings(tmp_path: Path) -> None:
    shards = written(tmp_path / "upper", {name.upper(): data for name, data in SHARDS.items()})
    assert join(shards / FIRST.upper(), tmp_path / "new" / "tiny.gguf")
    assert (tmp_path / "new" / "tiny.gguf").read_bytes() == MERGED
    pieces = written(tmp_path / "pieces", cut(WHOLE, ["T.GGUF.PART1OF2", "T.GGUF.PART2OF2"]))
    assert join(pieces / "T.GGUF.PART1OF2", tmp_path / "other" / "t.gguf")
    assert (tmp_path / "other" / "t.gguf").read_bytes() == WHOLE


PIECES = [
    ["t.gguf.part1of3", "t.gguf.part2of3", "t.gguf.part3of3"],
    ["t.gguf-split-a", "t.gguf-split-b", "t.gguf-split-c"],
    ["t.gguf.a", "t.gguf.b"],
    ["t.gguf.aa", "t.gguf.ab", "t.gguf.ac"],
    ["t.gguf.001", "t.gguf.002"],
    [f"t.gguf.{n}" for n in range(12)],
]


@pytest.mark.parametrize("names", PIECES, ids=lambda names: names[0])
@pytest.mark.parametrize("free", [False, True])
def test_pieces(tmp_path: Path, names: list[str], free: bool) -> None:
    pieces = cut(WHOLE, names)
    folder = written(tmp_path / "pieces", {**pieces, "t.gguf.bak": b"other", "README.md": b""})
    output = tmp_path / "new" / "t.gguf"
    assert join(folder / names[0], output, free=free)
    assert_made(output, WHOLE, pieces)
    assert {path.name for path in folder.iterdir()} == {
        "t.gguf.bak",
        "README.md",
        *(() if free else names),
    }


def test_the_manifest_beside_the_shards_says_what_they_must_be(
    tmp_path: Path, shards: Path
) -> None:
    value = support.request(shards, {**SHARDS, "config.json": b"{}"})
    (shards / "config.json").write_bytes(b"{}")
    value["sources"] = [{"kind": "directory", "endpoint": str(shards)}]
    fetch.fetch(spec.parse(value))
    damaged = bytearray(SHARDS["tiny-00002-of-00003.gguf"])
    damaged[-40] ^= 1
    (shards / "tiny-00002-of-00003.gguf").write_bytes(damaged)
    with pytest.raises(Failure, match=r"tiny-00002.*expected.*found.*fetch this file again"):
        join(shards / FIRST, shards / "tiny.gguf")
    assert not (shards / "tiny.gguf").exists()
    assert (shards / "tiny.gguf.part").read_bytes()[:4] == bytes(4)
    written(shards, SHARDS)
    join(shards / FIRST, shards / "tiny.gguf", free=True)
    found = manifest.load(shards / "manifest.json")
    # What lay beside the shards is still part of the model.
    assert found and [each.path for each in found.files] == ["config.json", "tiny.gguf"]
    assert not manifest.problems(found, shards) and found.model == "tiny"
    assert (shards / "tiny.gguf").read_bytes() == MERGED


def test_a_shard_that_is_not_what_was_published_is_never_freed(
    tmp_path: Path, shards: Path
) -> None:
    output, second = tmp_path / "new" / "tiny.gguf", "tiny-00002-of-00003.gguf"
    damaged = bytearray(SHARDS[second])
    damaged[-40] ^= 1
    (shards / second).write_bytes(damaged)
    with pytest.raises(Failure, match="sha256 expected"):
        join(shards / FIRST, output, digests=DIGESTS, free=True)
    assert sorted(path.name for path in shards.iterdir()) == sorted(SHARDS)[1:]
    (shards / second).write_bytes(SHARDS[second])
    join(shards / FIRST, output, free=True)  # the first is gone; the digests are still known
    assert_made(output, MERGED, SHARDS)


def test_the_digest_of_the_output_counts_too(tmp_path: Path, shards: Path) -> None:
    output = tmp_path / "new" / "tiny.gguf"
    with pytest.raises(Failure, match="the parts are not those of this file"):
        join(shards / FIRST, output, digests={"tiny.gguf": "0" * 64})
    assert not output.exists() and not (output.parent / "manifest.json").exists()


class Killed(BaseException):
    """The process died here."""


@contextmanager
def dying(after: int | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real, left = pipe.Pipe.copy, after

    def copy(self: Any, fd: int, offset: int, size: int, digest: Any) -> int:
        nonlocal left
        count = real(self, fd, offset, size, digest)
        if left is not None:
            left -= count
            if left < 0:
                raise Killed
        return count

    with monkeypatch.context() as patch:
        patch.setattr(pipe.Pipe, "copy", copy)
        patch.setattr(pipe, "BUFFER", 61)
        yield


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.lists(st.binary(max_size=200), max_size=3), min_size=1, max_size=4),
    deaths=st.lists(st.integers(0, 1200), max_size=3),
    free=st.booleans(),
    known=st.booleans(),
)
def test_killed_at_any_byte_the_result_is_the_same(
    groups: list[list[bytes]], deaths: list[int], free: bool, known: bool
) -> None:
    named = [
        [(f"{g}.{n}", data or b"\0") for n, data in enumerate(group)]
        for g, group in enumerate(groups)
    ]
    files = support.split(named)
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    with (
        temporary.folder("modelrack-join-", QUICK_DISK) as directory,
        pytest.MonkeyPatch.context() as patch,
    ):
        output = directory / "new" / "t.gguf"
        folder = written(directory / "old", files)
        for death in [*deaths, None]:
            try:
                with dying(death, patch):
                    join(
                        folder / min(files),
                        output,
                        free=free,
                        sync_bytes=100,
                        digests=digests if known else None,
                    )
            except Killed:
                assert not output.exists()
        assert_made(output, support.merged(named), files)


def test_kill_9_at_random_moments(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    groups = [[(f"blk.{n}.w", rng.randbytes(6 << 20))] for n in range(6)]
    files = support.split(groups)
    folder, output = written(tmp_path / "old", files), tmp_path / "new" / "t.gguf"
    command = [sys.executable, "-m", "deploys.remote", "weights", "merge"]
    command += [str(folder / min(files)), str(output), "--free"]
    killed = 0
    for _ in range(20):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            time.sleep(rng.uniform(0.05, 0.4))
            process.kill()
        killed += process.returncode != 0
        if process.returncode == 0:
            assert_made(output, support.merged(groups), files)
            shutil.rmtree(output.parent)
            written(folder, files)
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    assert killed
    assert_made(output, support.merged(groups), files)


def test_there_is_never_more_than_the_output_and_one_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = [[(f"blk.{n}.w", bytes([n]) * (3 << 20))] for n in range(5)]
    peak, real = 0, program.Progress.advance

    def advance(self: Any, count: int) -> None:
        nonlocal peak
        real(self, count)
        peak = max(peak, sum(space.allocated(path) for path in directory.rglob("*")))

    monkeypatch.setattr(program.Progress, "advance", advance)
    with temporary.folder("modelrack-join-", QUICK_DISK) as directory:
        files = support.split(groups)
        folder = written(directory / "old", files)
        join(folder / min(files), directory / "new" / "t.gguf", free=True)
        assert_made(directory / "new" / "t.gguf", support.merged(groups), files)
        assert peak <= (15 << 20) + (3 << 20) + (256 << 10)
        assert peak > 15 << 20


def test_two_at_once_and_what_is_there_already(tmp_path: Path, shards: Path) -> None:
    from deploys.remote.lib.lock import held

    output = tmp_path / "new" / "tiny.gguf"
    (tmp_path / "new" / ".fetch").mkdir(parents=True)
    with held(tmp_path / "new" / ".fetch" / "lock"), pytest.raises(Failure, match="another"):
        join(shards / FIRST, output)
    output.write_bytes(b"precious")
    with pytest.raises(Failure, match="exists already"):
        join(shards / FIRST, output)
    assert output.read_bytes() == b"precious"
    output.unlink()
    join(shards / FIRST, output)
    with pytest.raises(Failure, match="a folder of its own"):
        join(shards / FIRST, output.with_name("second.gguf"))


def test_an_unfinished_merge_is_finished_first(
    tmp_path: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "new" / "tiny.gguf"
    with pytest.raises(Killed), dying(100_000, monkeypatch):
        join(shards / FIRST, output, free=True, sync_bytes=100)
    with pytest.raises(Failure, match=r"unfinished: finish it with weights merge .*tiny-00001"):
        join(shards / FIRST, output.with_name("other.gguf"))
    gone = shards / "tiny-00003-of-00003.gguf"
    gone.rename(tmp_path / "aside")
    with pytest.raises(Failure, match="is missing"):
        join(shards / FIRST, output, free=True)
    (tmp_path / "aside").rename(gone)
    assert merge_state.load(output.parent / ".fetch", output, {})
    join(shards / FIRST, output, free=True)
    assert_made(output, MERGED, SHARDS)
