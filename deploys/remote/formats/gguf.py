"""Parser for the header of a GGUF file, which interprets no more than a merge needs.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from ..lib.content import looks_like
from ..lib.failure import Failure
from ..lib.space import human

MAGIC = b"GGUF"
VERSION = 3
DEFAULT_ALIGNMENT = 32
FIRST_READ = 64 << 10
# The header of a model with 130 000 tokens and 1100 tensors has 5 MiB. What claims more than these
# is damaged, which is said before it is read or held in memory.
LONGEST_HEAD = 64 << 20
MOST_TENSORS, MOST_PAIRS = 1 << 17, 1 << 16
STRING, ARRAY = 8, 9
SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i",
    6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
WIDTHS = {kind: struct.calcsize(code) for kind, code in SCALARS.items()}
# Tensor type: (elements, bytes) of a block; from ggml's type traits. A type that is not here is
# one that came later; its tensors are checked less closely.
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip
# Those that ggml has dropped: it loads no file that has one.
DROPPED = {4, 5, 31, 32, 33, 36, 37, 38}
# What has such an architecture belongs to a model, and answers nothing by itself.
PARTS = {
    "clip": "its part that sees pictures (mmproj)",
    "controlvector": "a control vector",
    "imatrix": "an importance matrix",
    "eagle3": "what drafts a model's tokens (EAGLE-3)",
    "dflash": "what drafts a model's tokens (DFlash)",
}
# Gives the first so many bytes of a file.
Read = Callable[[int], bytes]
# Their values are counted with, so they must be whole numbers.
WHOLE = (b"general.alignment", b"split.no", b"split.count", b"split.tensors.count")
# The least that an entry takes: a key, its kind and a byte; a name, no dimension, kind and offset.
LEAST_PAIR, LEAST_TENSOR = 13, 24
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


class NotGguf(Failure):
    """The content is not a GGUF file, or not one that we understand."""


class HeaderIncomplete(Exception):
    """The header continues beyond the bytes at hand."""


@dataclass(frozen=True)
class Tensor:
    """One tensor; `info` is its entry as it is in the file, without the offset field.

    `size` is its data in bytes, without padding; None for a type that is not known here.
    """

    name: bytes
    info: bytes
    offset: int
    size: int | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions, as in its entry: the one of neighbouring numbers first."""
        at = U64.size + len(self.name)
        (dimensions,) = U32.unpack_from(self.info, at)
        return struct.unpack_from(f"<{dimensions}Q", self.info, at + U32.size)


@dataclass(frozen=True)
class Header:
    """A parsed header; sizes are in bytes.

    `pairs` holds each key with its whole key-value entry as it is in the file. `data_offset` is
    where the tensor data begins. `scalars` holds the values that are plain numbers.
    """

    pairs: tuple[tuple[bytes, bytes], ...]
    tensors: tuple[Tensor, ...]
    data_offset: int
    scalars: dict[bytes, float]

    @property
    def alignment(self) -> int:
        return int(self.scalars.get(b"general.alignment", DEFAULT_ALIGNMENT))


def scan(data: bytes, name: str) -> Header:
    """Return the header at the start of `data`; raise Short if cut off, NotGguf if invalid."""
    _check_beginning(data, name)
    cursor = _Cursor(data, name)
    cursor.at = 8
    tensor_count, pair_count = cursor.u64(), cursor.u64()
    if tensor_count > MOST_TENSORS or pair_count > MOST_PAIRS:
        raise NotGguf(
            f"{name} claims {tensor_count} tensors and {pair_count} keys: the header is damaged"
        )
    cursor.need(pair_count * LEAST_PAIR + tensor_count * LEAST_TENSOR)
    scalars: dict[bytes, float] = {}
    pairs = []
    for _ in range(pair_count):
        start = cursor.at
        key = cursor.string()
        kind = cursor.u32()
        if kind in SCALARS:
            (scalars[key],) = struct.unpack(SCALARS[kind], cursor.take(WIDTHS[kind]))
            if key in WHOLE and not isinstance(scalars[key], int):
                raise NotGguf(f"{name}: {key.decode()} is no whole number: the header is damaged")
        else:
            cursor.skip_value(kind)
        pairs.append((key, data[start : cursor.at]))
    tensors = []
    for _ in range(tensor_count):
        start = cursor.at
        tensor = cursor.string()
        dimensions = cursor.u32()
        if dimensions > 8:
            raise NotGguf(f"{name}: a tensor with {dimensions} dimensions: the header is damaged")
        *shape, kind = struct.unpack(f"<{dimensions}QI", cursor.take(8 * dimensions + 4))
        info = data[start : cursor.at]
        tensors.append(Tensor(tensor, info, cursor.u64(), _data_size(shape, kind)))
    alignment = int(scalars.get(b"general.alignment", DEFAULT_ALIGNMENT))
    if alignment < 1 or alignment & (alignment - 1):
        raise NotGguf(
            f"{name}: general.alignment is {alignment}, not a power of two: the header is damaged"
        )
    return Header(tuple(pairs), tuple(tensors), padded(cursor.at, alignment), scalars)


def beginning(read: Read, size: int, name: str) -> tuple[bytes, Header]:
    """Return the first bytes of a file of `size` bytes, enough for its header, and that header.

    `read` is called with a number of bytes and returns the first ones of the file; each call asks
    for more.
    """
    goal = FIRST_READ
    while True:
        goal = min(goal, size)
        data = read(goal)
        try:
            return data, scan(data, name)
        except HeaderIncomplete:
            if goal == size:
                raise NotGguf(f"{name} ends inside its header: truncated at the source") from None
            if goal >= LONGEST_HEAD:
                raise NotGguf(
                    f"{name}: header longer than {human(LONGEST_HEAD)}: damaged"
                ) from None
            goal *= 4


def text_of(header: Header, key: bytes) -> str:
    """Return the text value of a key; "unknown" if there is none."""
    for name, raw in header.pairs:
        if name == key and raw[8 + len(key) : 12 + len(key)] == U32.pack(STRING):
            return raw[20 + len(key) :].decode(errors="replace")
    return "unknown"


def refuse_parts(header: Header, name: str) -> None:
    """Failure unless an engine can serve the file by itself, whatever it is called."""
    architecture = text_of(header, b"general.architecture")
    kind = text_of(header, b"general.type")
    what = PARTS.get(architecture, "")
    if not what and kind not in ("model", "unknown"):
        what = f"of the type {kind}"
    if not what and not header.tensors and header.scalars.get(b"split.count", 0) < 2:
        what = "its vocabulary alone, without a tensor"
    if what:
        raise Failure(
            f"{name} is not a model but {what}: set files of the model to patterns that select its"
            " GGUF and leave this one out, remove its entry from weights.yaml, then run again"
        )
    dropped = next((each for each in header.tensors if kind_of(each) in DROPPED), None)
    if dropped:
        raise Failure(
            f"{name} has {dropped.name.decode(errors='replace')} in a type that ggml has dropped"
            f" ({kind_of(dropped)}): choose the Q4_0 or the IQ4_NL variant of the model"
        )


def kind_of(tensor: Tensor) -> int:
    """Return the number of a tensor's type."""
    kind: int = U32.unpack(tensor.info[-U32.size :])[0]
    return kind


def padded(size: int, alignment: int = DEFAULT_ALIGNMENT) -> int:
    """Return `size` rounded up to a multiple of `alignment`."""
    return -(-size // alignment) * alignment


def _data_size(shape: Sequence[int], kind: int) -> int | None:
    if kind not in BLOCKS:
        return None
    elements, width = BLOCKS[kind]
    return prod(shape) // elements * width


def _check_beginning(data: bytes, name: str) -> None:
    if data[:4] != MAGIC[: len(data)]:
        guess = looks_like(data[:512]) or f"it begins with {data[:4]!r}"
        raise NotGguf(f"{name} is not a GGUF file: {guess}; fetch it from another source")
    if len(data) < 8:
        raise HeaderIncomplete
    (version,) = U32.unpack_from(data, 4)
    if version == VERSION:
        return
    if int.from_bytes(data[4:8], "big") == VERSION:
        raise NotGguf(f"{name} is a big-endian GGUF file: choose the little-endian one")
    raise NotGguf(
        f"{name} is GGUF version {version}, only {VERSION} is understood: choose a newer conversion"
    )


class _Cursor:
    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name, self.at = data, name, 0

    def need(self, count: int) -> None:
        """Raise Short unless `count` more bytes are at hand, NotGguf if that is too many."""
        if self.at + count > LONGEST_HEAD:
            raise NotGguf(
                f"{self.name} claims a header of {self.at + count} bytes: the header is damaged"
            )
        if self.at + count > len(self.data):
            raise HeaderIncomplete

    def take(self, count: int) -> bytes:
        self.need(count)
        self.at += count
        return self.data[self.at - count : self.at]

    def u32(self) -> int:
        value: int = U32.unpack(self.take(4))[0]
        return value

    def u64(self) -> int:
        value: int = U64.unpack(self.take(8))[0]
        return value

    def string(self) -> bytes:
        return self.take(self.u64())

    def skip_value(self, kind: int, depth: int = 0) -> None:
        if kind in WIDTHS:
            self.take(WIDTHS[kind])
        elif kind == STRING:
            self.string()
        elif kind == ARRAY and depth < 4:
            inner, count = self.u32(), self.u64()
            if inner in WIDTHS:
                self.need(WIDTHS[inner] * count)
                self.at += WIDTHS[inner] * count
            elif inner == STRING:
                self.need(8 * count)
                self._skip_strings(count)
            else:
                self.need(12 * count)
                for _ in range(count):
                    self.skip_value(inner, depth + 1)
        else:
            raise NotGguf(
                f"{self.name}: unknown value type {kind} in the header: the header is damaged"
            )

    def _skip_strings(self, count: int) -> None:
        # A vocabulary has 100 000 of them: no call for each.
        data, at, unpack = self.data, self.at, U64.unpack_from
        last = len(data) - 8
        for _ in range(count):
            if at > last:
                self.need(at + 8 - self.at)
            at += 8 + unpack(data, at)[0]
        self.need(at - self.at)
        self.at = at
