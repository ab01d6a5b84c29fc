"""Write GGUF files, whole or split the way ``llama-gguf-split`` splits them.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Split rules: llama.cpp's
tools/gguf-split: model keys only in the first shard, three ``split.*`` keys in each, data of a
shard contiguous, every tensor padded to 32 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

ALIGNMENT = 32

U16, U32, I32, F32, BOOL, STRING, ARRAY = 2, 4, 5, 6, 7, 8, 9
_NUMBERS = {U16: "<H", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}


@dataclass(frozen=True)
class Key:
    """One key-value pair; ``of`` is the element type of an array."""

    name: str
    kind: int
    value: Any
    of: int = 0


@dataclass(frozen=True)
class Tensor:
    """A tensor: ``shape`` in ggml's order (rows last), ``kind`` a ggml type number."""

    name: str
    shape: tuple[int, ...]
    kind: int
    data: bytes


def write(path: Path, keys: Sequence[Key], tensors: Sequence[Tensor]) -> None:
    """Write one file with everything in it."""
    sizes = [(tensor.name, tensor.shape, tensor.kind, len(tensor.data)) for tensor in tensors]
    with path.open("wb") as file:
        file.write(head(keys, sizes))
        for tensor in tensors:
            file.write(_padded(tensor.data))


def head(keys: Sequence[Key], tensors: Sequence[tuple[str, tuple[int, ...], int, int]]) -> bytes:
    """All that comes before the data; a tensor is its name, shape, kind and bytes of data."""
    parts = [struct.pack("<4sIqq", b"GGUF", 3, len(tensors), len(keys))]
    parts += [_string(key.name) + struct.pack("<I", key.kind) + _value(key) for key in keys]
    offset = 0
    for name, shape, kind, size in tensors:
        dims = struct.pack(f"<I{len(shape)}q", len(shape), *shape)
        parts.append(_string(name) + dims + struct.pack("<IQ", kind, offset))
        offset += size + -size % ALIGNMENT
    return _padded(b"".join(parts))


def write_split(
    folder: Path, prefix: str, keys: Sequence[Key], tensors: Sequence[Tensor], shards: int
) -> list[Path]:
    """Write ``<prefix>-00001-of-0000N.gguf`` and so on, split by number of tensors."""
    per_shard = ceil(len(tensors) / shards)
    parts = [tensors[i : i + per_shard] for i in range(0, len(tensors), per_shard)]
    if len(parts) != shards:
        raise ValueError(f"{len(tensors)} tensors do not make {shards} shards")
    paths = []
    for number, part in enumerate(parts):
        path = folder / f"{prefix}-{number + 1:05d}-of-{shards:05d}.gguf"
        # split.count comes last: the tool sets it again once it knows how many shards there are.
        split = [
            Key("split.no", U16, number),
            Key("split.tensors.count", I32, len(tensors)),
            Key("split.count", U16, shards),
        ]
        write(path, [*(keys if number == 0 else ()), *split], part)
        paths.append(path)
    return paths


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(key: Key) -> bytes:
    if key.kind == ARRAY:
        items = b"".join(_scalar(key.of, item) for item in key.value)
        return struct.pack("<IQ", key.of, len(key.value)) + items
    return _scalar(key.kind, key.value)


def _scalar(kind: int, value: Any) -> bytes:
    return _string(value) if kind == STRING else struct.pack(_NUMBERS[kind], value)
