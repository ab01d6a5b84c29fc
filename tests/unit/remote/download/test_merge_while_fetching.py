"""GGUF shards become one file while they arrive, the one that llama-gguf-split --merge writes."""

from __future__ import annotations

import hashlib
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy
import pytest
from gguf import GGML_QUANT_SIZES, GGUFReader, GGUFWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploys.remote.download import fetch as program
from deploys.remote.download.http import Body
from deploys.remote.download.source import DirectorySource, RetryPolicy
from deploys.remote.download.trailing_hash import TrailingHasher
from deploys.remote.formats import gguf
from deploys.remote.lib import spec
from deploys.remote.lib.failure import Failure
from deploys.remote.model_dir import manifest, publish
from tests import temporary
from tests.unit.remote import support
from tests.unit.remote.support import Hub, request, serving

QUICK = RetryPolicy(silence=0.4, tries=4, first_wait=0.01, longest_wait=0.05)
OUTPUT = {"output": "tiny-Q4.gguf"}
GROUPS = [
    [("token_embd", bytes(range(256)) * 300), ("blk.0.a", b"x" * 33)],
    [("blk.0.b", b"yz" * 70_000)],
    [("blk.1.a", b"a" * 32), ("blk.1.b", b"b" * 90_001)],
]
SHARDS = support.split(GROUPS)
MERGED = support.merged(GROUPS)


def fetch(value: dict[str, Any], **more: Any) -> bool:
    return program.fetch(spec.parse(value), patience=QUICK, **more)


def assert_merged(directory: Path, expected: bytes, shards: dict[str, bytes]) -> None:
    assert (directory / "tiny-Q4.gguf").read_bytes() == expected
    assert not (directory / "tiny-Q4.gguf.part").exists()
    found = manifest.load(directory / "manifest.json")
    assert found and found.merged and not manifest.problems(found, directory)
    output = next(each for each in found.files if each.path == "tiny-Q4.gguf")
    assert output.sha256 == hashlib.sha256(expected).hexdigest()
    assert [vars(each) for each in found.sources] == support.listing(shards)


@pytest.mark.parametrize("ranges", [True, False])
def test_merge_while_fetching(tmp_path: Path, ranges: bool) -> None:
    with serving(Hub(SHARDS, ranges=ranges)) as hub:
        value = request(tmp_path, SHARDS, hub, merge=OUTPUT)
        assert fetch(value)
        assert_merged(tmp_path, MERGED, SHARDS)
        if ranges:
            assert hub.sent == sum(map(len, SHARDS.values()))  # each byte once, headers too
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            ".fetch",
            "manifest.json",
            "tiny-Q4.gguf",
        ]
        asked = len(hub.asked)
        assert not fetch(value)
        (tmp_path / "tiny-Q4.gguf").touch()
        assert fetch(value)
        assert len(hub.asked) == asked


def test_other_files_come_along(tmp_path: Path) -> None:
    files = {**SHARDS, "config.json": b"{}"}
    with serving(Hub(files)) as hub:
        fetch(request(tmp_path, files, hub, merge=OUTPUT))
    assert_merged(tmp_path, MERGED, files)
    assert (tmp_path / "config.json").read_bytes() == b"{}"


def test_shards_fetched_earlier_are_not_fetched_again(tmp_path: Path) -> None:
    with serving(Hub(SHARDS)) as hub:
        fetch(request(tmp_path, SHARDS, hub))
        sent = hub.sent
        fetch(request(tmp_path, SHARDS, hub, merge=OUTPUT))
        assert_merged(tmp_path, MERGED, SHARDS)
        assert hub.sent == sent


def test_the_gguf_package_writes_the_shards_and_reads_the_result(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "real.gguf", "llama", split_max_tensors=2)
    writer.add_block_count(2)
    writer.add_token_list([f"token {n}" for n in range(20_000)])  # a header longer than 64 KB
    tensors = {f"t{n}": numpy.arange(50 + n * 7, dtype=numpy.float32) for n in range(5)}
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    shards = {path.name: path.read_bytes() for path in sorted(tmp_path.glob("*.gguf"))}
    assert len(shards) == 3
    with serving(Hub(shards)) as hub:
        fetch(request(tmp_path / "m", shards, hub, merge=OUTPUT))
        # Only reading the long header in growing steps may cost connections, never bytes.
        assert hub.sent == sum(map(len, shards.values()))
    reader = GGUFReader(tmp_path / "m" / "tiny-Q4.gguf")
    assert {t.name: t.data.tolist() for t in reader.tensors} == {
        n: v.tolist() for n, v in tensors.items()
    }
    assert reader.fields["split.count"].contents() == 0


def changed(number: int, **changes: Any) -> dict[str, bytes]:
    """The shards with shard `number` (from 0) written differently."""
    shards = dict(SHARDS)
    name = list(shards)[number]
    pairs = changes.get("pairs") or support.split_pairs(number, 3, 5)
    shards[name] = support.gguf(pairs, changes.get("tensors") or GROUPS[number])
    return shards


NAMES = list(SHARDS)
BAD = {
    "Git LFS pointer": {**SHARDS, NAMES[1]: b"version https://git-lfs.github.com/spec/v1\n"},
    "HTML page": {**SHARDS, NAMES[1]: b"<!DOCTYPE html>"},
    "not a GGUF file": {**SHARDS, NAMES[0]: b"ggml" + bytes(100)},
    "GGUF version 2": {**SHARDS, NAMES[0]: b"GGUF" + struct.pack("<IQQ", 2, 0, 0)},
    "big-endian": {**SHARDS, NAMES[0]: b"GGUF" + struct.pack(">IQQ", 3, 0, 0)},
    "ends inside its header": {**SHARDS, NAMES[0]: SHARDS[NAMES[0]][:60]},
    "swapped": {**SHARDS, NAMES[1]: SHARDS[NAMES[2]], NAMES[2]: SHARDS[NAMES[1]]},
    "mixed sets": changed(1, pairs=support.split_pairs(1, 4, 5)),
    "not a shard": changed(1, pairs=[support.MODEL[0]]),
    "is in two shards": changed(1, tensors=GROUPS[0]),
    "the set says": changed(1, tensors=[("one", b"1"), ("two", b"2")]),
    "truncated": {**SHARDS, NAMES[2]: SHARDS[NAMES[2]][:-40]},
    "past its last tensor": {**SHARDS, NAMES[2]: SHARDS[NAMES[2]] + bytes(32)},
    "general.alignment 64": changed(
        1,
        pairs=[
            *support.split_pairs(1, 3, 5),
            support.pair("general.alignment", 4, struct.pack("<I", 64)),
        ],
    ),
    "missing": {name: SHARDS[name] for name in NAMES[:2]},
    "exactly one model": {**SHARDS, **support.split(GROUPS, "other")},
}


@pytest.mark.parametrize("said", BAD)
def test_what_cannot_be_merged_is_reported_before_anything_is_written(
    tmp_path: Path, said: str
) -> None:
    with serving(Hub(BAD[said])) as hub:
        with pytest.raises(Failure, match=said):
            fetch(request(tmp_path, BAD[said], hub, merge=OUTPUT))
        assert not list(tmp_path.glob("*.gguf*"))


def test_a_damaged_shard_is_fetched_again_alone(tmp_path: Path) -> None:
    with serving(Hub(SHARDS, corrupt={NAMES[1]: 2})) as hub:  # its head and its rest
        fetch(request(tmp_path, SHARDS, hub, merge=OUTPUT))
        assert_merged(tmp_path, MERGED, SHARDS)
        assert sum(path == NAMES[0] for path, _ in hub.asked) <= 2


def test_a_damaged_header_is_noticed_and_laid_out_again(tmp_path: Path) -> None:
    at = SHARDS[NAMES[2]].index(b"blk.1.a")
    with serving(Hub(SHARDS, corrupt={NAMES[2]: 1}, corrupt_at=at)) as hub:
        fetch(request(tmp_path, SHARDS, hub, merge=OUTPUT))
        assert_merged(tmp_path, MERGED, SHARDS)


def test_a_shard_that_stays_damaged_leaves_nothing_loadable(tmp_path: Path) -> None:
    with serving(Hub(SHARDS, corrupt={NAMES[1]: 99})) as hub:
        with pytest.raises(Failure, match="sha256 expected"):
            fetch(request(tmp_path, SHARDS, hub, merge=OUTPUT))
        assert not (tmp_path / "tiny-Q4.gguf").exists()
        assert (tmp_path / "tiny-Q4.gguf.part").read_bytes()[:4] == bytes(4)
        hub.corrupt.clear()
        hub.sent = 0
        fetch(request(tmp_path, SHARDS, hub, merge=OUTPUT))
        assert_merged(tmp_path, MERGED, SHARDS)


class Killed(BaseException):
    """The process died here: nothing is flushed, nothing is journalled."""


class Mortal(DirectorySource):
    """A source that takes the process with it after `left` more bytes."""

    left: int | None = None

    def open(self, path: str, start: int, end: int | None) -> Body:
        body = super().open(path, start, end)
        return Body(body.start, body.stop, body.total, self._until_death(body))

    def _until_death(self, body: Body) -> Iterator[bytes]:  # type: ignore[misc]
        for data in body.chunks:
            for at in range(0, len(data), 61):
                piece = data[at : at + 61]
                if Mortal.left is not None:
                    Mortal.left -= len(piece)
                    if Mortal.left < 0:
                        raise Killed
                yield piece


@contextmanager
def mortal(root: Path) -> Iterator[None]:
    original = program.open_source
    program.open_source = lambda *_: Mortal(root)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        program.open_source = original  # type: ignore[attr-defined]


# Where syncing costs nothing, if there is such a place.
QUICK_DISK = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
tensors = st.lists(st.binary(max_size=200), max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    groups=st.lists(tensors, min_size=1, max_size=4),
    deaths=st.lists(st.integers(0, 1500), max_size=3),
)
def test_killed_at_any_byte_the_result_is_the_same(
    groups: list[list[bytes]], deaths: list[int]
) -> None:
    named = [
        [(f"{g}.{n}", data or b"\0") for n, data in enumerate(group)]
        for g, group in enumerate(groups)
    ]
    shards = support.split(named)
    with temporary.folder("modelrack-merge-", QUICK_DISK) as directory:
        (directory / "disk").mkdir()
        for path, data in shards.items():
            (directory / "disk" / path).write_bytes(data)
        target = directory / "m"
        value = request(target, shards, merge=OUTPUT, workers=2)
        value["sources"] = [{"kind": "directory", "endpoint": str(directory / "disk")}]
        with mortal(directory / "disk"):
            for death in [*deaths, None]:
                Mortal.left = death
                try:
                    fetch(value, sync_bytes=100)
                except Killed:
                    part = target / "tiny-Q4.gguf.part"
                    assert not (target / "tiny-Q4.gguf").exists()
                    assert not part.exists() or part.read_bytes()[:4] == bytes(4)
        assert_merged(target, support.merged(named), shards)


@pytest.mark.parametrize("after", ["pending", "renamed"])
def test_killed_while_publishing(
    tmp_path: Path, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise Killed

    with serving(Hub(SHARDS)) as hub:
        value = request(tmp_path, SHARDS, hub, merge=OUTPUT)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            real = publish.rename
            patch.setattr(
                publish,
                "rename",
                lambda a, b: real(a, b) if (b.suffix, after) == (".gguf", "renamed") else die(),
            )
            fetch(value)
        assert not (tmp_path / "manifest.json").exists()
        sent = hub.sent
        fetch(value)
        assert_merged(tmp_path, MERGED, SHARDS)
        assert hub.sent == sent


def test_the_scanner_asks_for_more_at_every_cut() -> None:
    data = SHARDS[NAMES[0]]
    header = gguf.scan(data, "x")
    for cut in range(0, header.data_offset - 40, 7):
        with pytest.raises(gguf.HeaderIncomplete):
            gguf.scan(data[:cut], "x")
    assert [tensor.name for tensor in header.tensors] == [b"token_embd", b"blk.0.a"]


@given(st.binary(max_size=300))
def test_the_scanner_survives_anything(noise: bytes) -> None:
    for data in (noise, b"GGUF" + noise, SHARDS[NAMES[0]][:24] + noise):
        with suppress(gguf.HeaderIncomplete, gguf.NotGguf):
            gguf.scan(data, "x")


def test_tensor_sizes_are_those_of_the_gguf_package() -> None:
    theirs = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
    assert {kind: theirs[kind] for kind in gguf.BLOCKS if kind in theirs} == gguf.BLOCKS


def test_the_follower_begins_a_span_again(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"head" + b"a" * 50 + b"b" * 50)
    fd = os.open(path, os.O_RDWR)
    follower = TrailingHasher(fd, b"HEAD", [(4, 50), (54, 50)])
    follower.reached(0, 50)
    follower.reached(1, 20)
    for _ in range(200):
        if follower._span == 1 and follower._at == 20:
            break
        threading.Event().wait(0.01)
    follower.reached(1, 0)
    follower.reached(0, 0)
    os.pwrite(fd, b"c" * 100, 4)
    follower.reached(0, 50)
    follower.reached(1, 50)
    assert follower.result() == hashlib.sha256(b"HEAD" + b"c" * 100).hexdigest()
    os.close(fd)
