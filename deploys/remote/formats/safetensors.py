"""Parser for the header of a safetensors file, as strict as the loaders; it checks the size, too.

Eight bytes with the header's length, the header as JSON, then the tensors without gaps:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ..lib.content import looks_like
from ..lib.failure import Failure

# The format allows 100 MB. Tensors take some 130 bytes each, so this is room for 120 000 of them in
# one file; the largest model known has 92 000 in all of its files.
LONGEST = 16 << 20
# Bits of one element; a type that is not here came later, and its sizes are not checked.
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32, "I64": 64, "U64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
DIMENSIONS = 16


class NotSafetensors(Failure):
    """The content is not a safetensors file that a loader would accept."""


@dataclass(frozen=True)
class SafetensorsTensor:
    """One tensor; its data is at bytes `begin` to `end`, counted from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """The tensors of one file by name; sizes in bytes."""

    tensors: dict[str, SafetensorsTensor]
    data_offset: int
    data_size: int


def read(path: Path) -> SafetensorsHeader:
    """Return the header of a file; raise Failure if the file is invalid or incomplete."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        beginning = file.read(512)
        length = header_length(beginning, size, path.name)
        file.seek(8)
        data = bytearray()
        while len(data) < length and (more := file.read(length - len(data))):
            data += more
    header = parse(bytes(data), path.name)
    if header.data_offset + header.data_size != size:
        raise NotSafetensors(
            f"{path.name} has {size} bytes, and its header describes"
            f" {header.data_offset + header.data_size}: the file is not whole"
        )
    return header


def header_length(beginning: bytes, size: int, name: str) -> int:
    """Return the length of the header of a file of `size` bytes, given the file's first bytes.

    Raise NotSafetensors if the file cannot be one.
    """
    guess = looks_like(beginning)
    length = struct.unpack("<Q", beginning[:8])[0] if len(beginning) >= 8 else 0
    if length > min(LONGEST, max(0, size - 8)) or length < 2 or beginning[8:9] not in (b"{", b""):
        raise NotSafetensors(
            f"{name} is not a safetensors file: "
            + (guess or f"its header would be {length} bytes long, and the file is {size}")
        )
    return int(length)


def parse(data: bytes, name: str) -> SafetensorsHeader:
    """Return the header in `data`, the bytes that follow the length."""
    # An empty list takes 30 times its two bytes once it is read, and no header is full of them.
    if data.count(b"[") > len(data) // 16 + 16 or data.count(b"{") > len(data) // 24 + 16:
        raise _damaged(name, "it is full of brackets")
    try:
        pairs = json.loads(
            data,
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
        if not isinstance(pairs, dict):
            raise ValueError("it is not an object")
        pairs.pop("__metadata__", None)
        tensors = {key: _tensor(key, value) for key, value in pairs.items()}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(name, str(error) or type(error).__name__) from error
    end = 0
    for key, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != end:
            raise _damaged(name, f"{key!r} does not lie where the tensor before it ends")
        end = tensor.end
    return SafetensorsHeader(tensors, 8 + len(data), end)


def _tensor(name: str, value: Any) -> SafetensorsTensor:
    dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    numbers = (*shape, begin, end)
    if not isinstance(dtype, str) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError(f"{name!r} has a field of the wrong type")
    if len(shape) > DIMENSIONS or begin > end:
        raise ValueError(f"{name!r} has an impossible shape or place")
    if dtype in BITS and (end - begin) * 8 != prod(shape) * BITS[dtype]:
        raise ValueError(f"{name!r} has {end - begin} bytes, which is not its shape")
    return SafetensorsTensor(dtype, shape, begin, end)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it has a name twice")
    return found


def _integer(text: str) -> int:
    # 2**64 has 20 digits; reading more of them takes time that grows with their square.
    if len(text) > 20:
        raise ValueError("it has a number that is too large")
    return int(text)


def _refuse(text: str) -> None:
    raise ValueError(f"it has {text[:20]!r} where only whole numbers belong")


def _damaged(name: str, what: str) -> NotSafetensors:
    return NotSafetensors(f"{name}: the header is damaged, {what[:200]}")
