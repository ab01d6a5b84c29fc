"""The scanner of GGUF headers: whatever it is given, it answers soon, in little memory, by name."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploys.remote.formats import gguf
from deploys.remote.formats.gguf_layout import lay_out
from deploys.remote.lib.failure import Failure
from deploys.remote.lib.spec import ListedFile
from tests.unit.remote.support import MODEL, pad, pair, split, text

SHARDS = split([[("token_embd", b"a" * 64), ("blk.0.a", b"b" * 40)], [("blk.1.a", b"c" * 64)]])
FIRST, SECOND = SHARDS
HEADERS = {name: data[: gguf.scan(data, name).data_offset] for name, data in SHARDS.items()}
MIB = 1 << 20

SCALARS = st.one_of(
    st.integers(0, 255).map(lambda value: (0, struct.pack("<B", value))),
    st.integers(0, 2**16 - 1).map(lambda value: (2, struct.pack("<H", value))),
    st.integers(0, 2**32 - 1).map(lambda value: (4, struct.pack("<I", value))),
    st.floats(width=32).map(lambda value: (6, struct.pack("<f", value))),
    st.booleans().map(lambda value: (7, struct.pack("<?", value))),
    st.integers(-(2**63), 2**63 - 1).map(lambda value: (11, struct.pack("<q", value))),
    st.text(max_size=20).map(lambda value: (8, text(value))),
)


def _array(elements: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    """An array of the elements that are of the first one's kind."""
    kind = elements[0][0] if elements else 4
    same = [value for each, value in elements if each == kind]
    return 9, struct.pack("<IQ", kind, len(same)) + b"".join(same)


VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4).map(_array), max_leaves=12)
PAIRS = st.lists(st.tuples(st.text(max_size=20), VALUES), max_size=8)
TENSORS = st.lists(
    st.tuples(
        st.text(max_size=20),
        st.lists(st.integers(0, 2**64 - 1), max_size=4),
        st.integers(0, 60),
        st.integers(0, 2**64 - 1),
    ),
    max_size=6,
)


def header(pairs: list[bytes], infos: list[bytes]) -> bytes:
    counts = struct.pack("<IQQ", 3, len(infos), len(pairs))
    return b"GGUF" + counts + b"".join(pairs) + b"".join(infos)


def info(name: str, shape: list[int], kind: int, offset: int) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, offset)


@contextmanager
def little(mebibytes: float = 1, seconds: float = 2) -> Iterator[None]:
    """Not more memory than that at any time, and not longer."""
    tracemalloc.start()
    began = time.process_time()
    try:
        yield
        took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * MIB, f"{peak / MIB:.1f} MiB"
    assert took < seconds, f"{took:.1f} s"


@given(PAIRS, TENSORS)
def test_a_header_is_read_as_it_was_written(
    pairs: list[tuple[str, tuple[int, bytes]]],
    tensors: list[tuple[str, list[int], int, int]],
) -> None:
    raw = [pair(key, *value) for key, value in pairs if key.encode() not in gguf.WHOLE]
    data = header(raw, [info(*tensor) for tensor in tensors])
    read = gguf.scan(data, "x")
    assert [entry for _, entry in read.pairs] == raw
    assert [(tensor.name, tensor.offset) for tensor in read.tensors] == [
        (name.encode(), offset) for name, _, _, offset in tensors
    ]
    assert read.data_offset == len(pad(data))
    for cut in range(4, len(data), max(1, len(data) // 40)):
        with pytest.raises(gguf.HeaderIncomplete):
            gguf.scan(data[:cut], "x")


@settings(max_examples=400)
@given(st.binary(max_size=400), st.integers(0, 400))
@example(b"\xff" * 400, 24)
@example(struct.pack("<IIQ", 9, 9, 2**63) * 20, 32)
def test_arbitrary_bytes_after_any_true_beginning(noise: bytes, true: int) -> None:
    with suppress(gguf.HeaderIncomplete, gguf.NotGguf):
        gguf.scan(HEADERS[FIRST][:true] + noise, "x")


EXTREME = [0, 1, 2**16, 2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 1]


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A shard's header with a few bytes, or whole numbers, that should not be there."""
    data = bytearray(HEADERS[name])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        how = draw(st.sampled_from(["byte", "number", "cut", "insert", "repeat"]))
        if how == "byte":
            data[at] = draw(st.integers(0, 255))
        elif how == "number":
            width = draw(st.sampled_from(["<I", "<Q"]))
            value = draw(st.sampled_from(EXTREME)) % 2 ** (8 * struct.calcsize(width))
            data[at : at + struct.calcsize(width)] = struct.pack(width, value)
        elif how == "cut":
            del data[at : at + draw(st.integers(1, 40))]
        elif how == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=40))
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 80))]
        if not data:
            break
    return bytes(data)


@settings(max_examples=400)
@given(damaged(FIRST), damaged(SECOND), st.sampled_from([FIRST, SECOND, None]))
def test_damaged_headers_are_reported_by_name_or_make_a_file_of_the_right_size(
    first: bytes, second: bytes, whole: str | None
) -> None:
    heads = {FIRST: first, SECOND: second}
    if whole is not None:
        heads[whole] = HEADERS[whole]
    try:
        read = [
            (ListedFile(name, len(SHARDS[name]), "0" * 64), gguf.scan(heads[name], name))
            for name in SHARDS
        ]
        made = lay_out(read)
    except gguf.HeaderIncomplete:
        return
    except Failure as failure:
        assert "tiny" in str(failure)
        assert "\n" not in str(failure)
        return
    data = sum(-(-(file.size - head.data_offset) // 32) * 32 for file, head in read)
    assert made.size == len(made.header) + data
    assert gguf.scan(made.header, "merged").data_offset == len(made.header)


HUGE = struct.pack("<Q", 2**60)
TINY = struct.pack("<Q", 1)
START = b"GGUF" + struct.pack("<I", 3)
CLAIMS = {
    "tensors": START + HUGE + TINY + MODEL[0],
    "keys": START + TINY + HUGE + MODEL[0],
    "the length of a key": START + TINY + TINY + HUGE + b"a" * 64,
    "the length of a value": START + TINY + TINY + text("a") + struct.pack("<I", 8) + HUGE + b"a",
    "numbers of an array": START + TINY + TINY + pair("a", 9, struct.pack("<I", 10) + HUGE),
    "strings of an array": START + TINY + TINY + pair("a", 9, struct.pack("<I", 8) + HUGE),
    "arrays of an array": START + TINY + TINY + pair("a", 9, struct.pack("<I", 9) + HUGE),
    "the length of a string in an array": START
    + TINY
    + TINY
    + pair("a", 9, struct.pack("<IQ", 8, 3) + text("b") + HUGE),
    "the length of a tensor's name": START + TINY + TINY + MODEL[1] + HUGE,
    "dimensions": START + TINY + TINY + MODEL[1] + text("a") + struct.pack("<I", 2**31),
}


@pytest.mark.parametrize("data", CLAIMS.values(), ids=CLAIMS)
def test_what_is_claimed_beyond_any_header_is_refused_before_it_is_read(data: bytes) -> None:
    # To ask for more instead would cost the reading of it.
    data += bytes(200)
    with little(), pytest.raises(gguf.NotGguf, match=r"shard-3\.gguf.*the header is damaged"):
        gguf.scan(data, "shard-3.gguf")


@pytest.mark.parametrize("count", [2**17 + 1, 2**64 - 1])
def test_more_tensors_or_keys_than_any_model_has_are_refused(count: int) -> None:
    for counts in ((count, 0), (0, count)):
        with pytest.raises(gguf.NotGguf, match="tensors and"):
            gguf.scan(START + struct.pack("<QQ", *counts), "x")


@pytest.mark.parametrize("key", gguf.WHOLE)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 32.0])
def test_numbers_that_are_counted_with_are_whole(key: bytes, value: float) -> None:
    for kind, code in ((6, "<f"), (12, "<d")):
        data = header([pair(key.decode(), kind, struct.pack(code, value))], [])
        with pytest.raises(gguf.NotGguf, match="no whole number"):
            gguf.scan(data, "x")


@pytest.mark.parametrize("value", [0, 3, 2**31 + 1])
def test_an_alignment_is_a_power_of_two(value: int) -> None:
    data = header([pair("general.alignment", 4, struct.pack("<I", value))], [])
    with pytest.raises(gguf.NotGguf, match="power of two"):
        gguf.scan(data, "x")


def test_the_most_tensors_take_bounded_memory_and_time() -> None:
    data = header([], [info("", [], 0, 0)] * gguf.MOST_TENSORS)
    with little(mebibytes=128, seconds=20):
        assert len(gguf.scan(data, "x").tensors) == gguf.MOST_TENSORS


def test_a_vocabulary_and_nested_arrays_take_no_more_than_their_own_size() -> None:
    words = struct.pack("<IQ", 8, 200_000) + struct.pack("<Q", 6) * 200_000
    words = words[:12] + b"".join(text(f"{n:06}") for n in range(200_000))
    nested = struct.pack("<IQ", 9, 50_000) + struct.pack("<IQ", 4, 0) * 50_000
    data = header([pair("tokens", 9, words), pair("nested", 9, nested)], [])
    with little(mebibytes=2 * len(data) / MIB, seconds=10):
        assert len(gguf.scan(data, "x").pairs) == 2


def test_arrays_are_not_followed_into_any_depth() -> None:
    deep = struct.pack("<IQ", 9, 1) * 10_000
    with pytest.raises(gguf.NotGguf, match="unknown value type"):
        gguf.scan(header([pair("a", 9, deep)], []), "x")


def test_a_tensor_that_is_there_twice_is_found_among_many_at_once() -> None:
    names = [f"t{n}" for n in range(30_000)]
    groups = [[(name, b"x") for name in names], [(names[-1], b"x")]]
    shards = [
        (ListedFile(name, len(data), "0" * 64), gguf.scan(data, name))
        for name, data in split(groups).items()
    ]
    began = time.process_time()
    with pytest.raises(Failure, match="t29999 is in two shards"):
        lay_out(shards)
    assert time.process_time() - began < 2
