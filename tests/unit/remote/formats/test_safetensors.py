"""The header parser takes what the official one takes, and no bytes make it crash or swell."""

from __future__ import annotations

import json
import random
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
import safetensors as official
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from deploys.remote.formats import safetensors
from deploys.remote.formats.safetensors import NotSafetensors, SafetensorsTensor
from deploys.remote.lib.failure import Failure
from tests.lab import tiny_tree

WHOLE = tiny_tree.safetensors(
    {"a": ("BF16", (2, 3)), "b.weight": ("F8_E4M3", (4,)), "empty": ("F32", (0, 5))}
)
LENGTH = struct.unpack("<Q", WHOLE[:8])[0]
HEADER = json.loads(WHOLE[8 : 8 + LENGTH])


def read(tmp_path: Path, data: bytes) -> safetensors.SafetensorsHeader:
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    return safetensors.read(path)


def with_header(text: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + data


def one(**fields: object) -> bytes:
    """A file of one tensor of 8 bytes that has other fields."""
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **fields}
    return with_header(json.dumps({"t": tensor}).encode(), bytes(8))


def test_a_whole_file(tmp_path: Path) -> None:
    header = read(tmp_path, WHOLE)
    assert header.tensors == {
        "a": SafetensorsTensor("BF16", (2, 3), 0, 12),
        "b.weight": SafetensorsTensor("F8_E4M3", (4,), 12, 16),
        "empty": SafetensorsTensor("F32", (0, 5), 16, 16),
    }
    assert (header.data_offset, header.data_size) == (8 + LENGTH, 16)
    assert sorted(dict(official.deserialize(WHOLE))) == sorted(header.tensors)


@pytest.mark.parametrize("kind", tiny_tree.QUANTIZATIONS)
def test_the_trees_of_the_lab_are_what_the_official_parser_reads(kind: str, tmp_path: Path) -> None:
    for path, data in tiny_tree.files(kind).items():
        if path.endswith(".safetensors"):
            theirs = {name: (v["dtype"], v["shape"]) for name, v in official.deserialize(data)}
            ours = read(tmp_path, data).tensors
            assert theirs == {name: (t.dtype, list(t.shape)) for name, t in ours.items()}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a safetensors file"),
        (b"1234567", "not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>log in</html>", "HTML page"),
        (bytes(4096), "zero bytes"),
        (struct.pack("<Q", 1 << 60) + b"{}", "1152921504606846976 bytes long"),
        (struct.pack("<Q", safetensors.LONGEST + 1) + b"{", "bytes long"),
        (WHOLE[:-1], "the file is not whole"),
        (WHOLE + b"x", "the file is not whole"),
        (WHOLE[: 8 + LENGTH // 2], "not a safetensors file"),
        (with_header(b"{]"), "damaged"),
        (with_header(b'{"a": {"a": ' * 20000), "damaged"),
        (with_header(b"{" + b"[" * 100_000), "full of brackets"),
        (with_header(b'{"t": ' + b"9" * 100_000 + b"}"), "too large"),
        (with_header(b'{"t": 1.5}'), "whole numbers"),
        (with_header(b'{"t": NaN}'), "whole numbers"),
        (with_header(b'{"t": 7}'), "damaged"),
        (with_header(b'{"\xff": 7}'), "damaged"),
        (one(shape=[3]), "is not its shape"),
        (one(shape=[-2]), "wrong type"),
        (one(shape=[True, 2]), "wrong type"),
        (one(shape="ab"), "wrong type"),
        (one(shape=7), "damaged"),
        (one(dtype=7), "wrong type"),
        (one(data_offsets=[8, 0]), "impossible"),
        (one(data_offsets=[0, 8, 16]), "damaged"),
        (one(data_offsets=[1, 9]), "does not lie where"),
        (one(shape=[1] * 17 + [2]), "impossible"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(NotSafetensors, match=said) as failure:
        read(tmp_path, data)
    assert "m.safetensors" in str(failure.value) and len(str(failure.value)) < 400


def test_a_name_twice_an_overlap_and_a_gap_are_refused(tmp_path: Path) -> None:
    tensor = '{"dtype":"U8","shape":[4],"data_offsets":[%d,%d]}'
    for places, said in (([(0, 4), (2, 6)], "does not lie"), ([(0, 4), (5, 9)], "does not lie")):
        pairs = ",".join(f'"t{n}":{tensor % place}' for n, place in enumerate(places))
        with pytest.raises(NotSafetensors, match=said):
            read(tmp_path, with_header(f"{{{pairs}}}".encode(), bytes(places[-1][1])))
    twice = f'{{"t":{tensor % (0, 4)},"t":{tensor % (0, 4)}}}'.encode()
    with pytest.raises(NotSafetensors, match="a name twice"):
        read(tmp_path, with_header(twice, bytes(4)))


def test_a_type_that_came_later_is_taken_as_it_is(tmp_path: Path) -> None:
    assert read(tmp_path, one(dtype="F2_NEW")).tensors["t"].dtype == "F2_NEW"


@settings(max_examples=400, deadline=None)
@given(some.binary(max_size=200))
def test_arbitrary_headers_are_read_or_refused(text: bytes) -> None:
    _read_or_refused(text)
    _read_or_refused(b"{" + text + b"}")


_NUMBERS = some.integers() | some.integers(0, 64)
_VALUES = some.recursive(
    _NUMBERS | some.text(max_size=5) | some.none() | some.booleans() | some.floats(),
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.dictionaries(some.sampled_from(["dtype", "shape", "data_offsets", "x"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(
    some.dictionaries(
        some.text(max_size=4) | some.just("__metadata__"),
        _VALUES
        | some.fixed_dictionaries(
            {
                "dtype": some.sampled_from([*safetensors.BITS, "X"]),
                "shape": some.lists(_NUMBERS, max_size=4),
                "data_offsets": some.lists(_NUMBERS, min_size=1, max_size=3),
            }
        ),
        max_size=4,
    )
)
def test_headers_of_any_values_are_read_or_refused(header: dict[str, object]) -> None:
    _read_or_refused(json.dumps(header).encode())


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.lists(some.tuples(some.integers(0, len(WHOLE) - 1), some.integers(0, 255)), max_size=4))
def test_what_survives_a_change_the_official_parser_takes_too(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(WHOLE)
    for at, byte in changes:
        data[at] = byte
    try:
        header = read(tmp_path, bytes(data))
    except Failure:
        return
    if all(tensor.dtype in safetensors.BITS for tensor in header.tensors.values()):
        theirs = {name: tuple(v["shape"]) for name, v in official.deserialize(bytes(data))}
        assert theirs == {name: tensor.shape for name, tensor in header.tensors.items()}


@pytest.mark.parametrize(
    "text",
    [
        b"{" + b"[]," * 300_000,
        b'{"t":[' + b"[]," * 300_000 + b"[]]}",
        b'{"t":[' + b'"",' * 300_000 + b'""]}',
        b'{"t":[' + b"12345678," * 100_000 + b"1]}",
        b'{"t":{' + b",".join(b'"%x":{}' % n for n in range(100_000)) + b"}}",
        random.Random(1).randbytes(1 << 20),
    ],
)
def test_memory_and_time_stay_in_proportion(text: bytes) -> None:
    tracemalloc.start()
    start = time.perf_counter()
    _read_or_refused(text)
    took, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * len(text) + (1 << 20)
    assert took < 5


def _read_or_refused(text: bytes) -> None:
    try:
        safetensors.parse(text, "m.safetensors")
    except NotSafetensors as failure:
        assert len(str(failure)) < 400
