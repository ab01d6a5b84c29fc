"""Layout of a GGUF file merged from shards, byte for byte as llama-gguf-split --merge writes it.

Each shard's data section is contiguous, so the merged data is the shards' data sections one after
the other, each padded to the alignment; the merged header has shard 0's key-value pairs with
`split.count` moved to the end as 0.
https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split
"""

from __future__ import annotations

import os
import re
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..lib.failure import Failure
from ..lib.spec import ListedFile
from .gguf import DEFAULT_ALIGNMENT, MAGIC, VERSION, Header, beginning, padded

SHARD_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
SPLIT_COUNT = b"split.count"
COUNT_ZERO = struct.pack("<Q", len(SPLIT_COUNT)) + SPLIT_COUNT + struct.pack("<IH", 2, 0)


@dataclass(frozen=True)
class GgufLayout:
    """The merged file: its header, its size in bytes, and where each shard's data begins in it."""

    header: bytes
    size: int
    places: tuple[int, ...]


def shards_of(files: Sequence[ListedFile]) -> tuple[list[ListedFile], list[ListedFile]]:
    """Return the shards in order, and the other files.

    Raise Failure unless the shards are one complete set.
    """
    shards, others, sets = [], [], set()
    for file in files:
        name = SHARD_NAME.fullmatch(file.path)
        if name:
            shards.append((int(name[2]), file))
            sets.add((name[1], int(name[3])))
        else:
            others.append(file)
    if len(sets) != 1:
        found = ", ".join(sorted(prefix for prefix, _ in sets)) or "none"
        raise Failure(
            f"a merge needs the shards of exactly one model, found {found}: narrow the patterns"
        )
    (prefix, count) = sets.pop()
    shards.sort(key=lambda pair: pair[0])
    numbers = [number for number, _ in shards]
    begin = 0 if 0 in numbers else 1
    if numbers != list(range(begin, begin + count)):
        missing = sorted(set(range(begin, begin + count)) - set(numbers))
        raise Failure(
            f"{prefix}: {len(numbers)} of {count} shards listed, missing {missing}: resolve again"
        )
    return [file for _, file in shards], others


def header_of(path: Path, name: str) -> Header:
    """Return the header of a file; raise NotGguf, with `name`, if it has none."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return beginning(lambda goal: os.pread(file.fileno(), goal, 0), size, name)[1]


def check_shards(directory: Path, first: str, header: Header) -> None:
    """Raise Failure unless the shards that follow `first` are all there, by their headers.

    llama.cpp makes the names of the others from that of the first and its split.count.
    """
    count = int(header.scalars.get(SPLIT_COUNT, 0))
    if count < 2:
        return
    prefix = first[: -len("-00001-of-00001.gguf")]
    for number in range(count):
        name = f"{prefix}-{number + 1:05d}-of-{count:05d}.gguf"
        path = directory / name
        if not path.is_file() or (number == 0 and name != first):
            raise Failure(
                f"{first} is one of {count} shards by its header, and {name} is not there: correct"
                " the file patterns of the model, or choose another repository"
            )
        found = header_of(path, name)
        if found.scalars.get(SPLIT_COUNT) != count or found.scalars.get(b"split.no") != number:
            raise Failure(f"{name} is not shard {number + 1} of {count} by its header: mixed sets")


def lay_out(shards: Sequence[tuple[ListedFile, Header]]) -> GgufLayout:
    """Return the layout of the merged file of `shards`, which are given in order.

    Raise Failure saying which one does not fit.
    """
    for number, (file, header) in enumerate(shards):
        _check_shard(file, header, number, len(shards))
    headers = [header for _, header in shards]
    _check_set(shards[0][0].path, headers)
    sections = [padded(max(0, file.size - header.data_offset)) for file, header in shards]
    data_starts = [sum(sections[:number]) for number in range(len(sections))]
    pairs = [raw for key, raw in headers[0].pairs if key != SPLIT_COUNT] + [COUNT_ZERO]
    infos = [
        tensor.info + struct.pack("<Q", tensor.offset + start)
        for header, start in zip(headers, data_starts)
        for tensor in header.tensors
    ]
    head = MAGIC + struct.pack("<IQQ", VERSION, len(infos), len(pairs)) + b"".join(pairs + infos)
    head += bytes(padded(len(head)) - len(head))
    places = tuple(len(head) + start for start in data_starts)
    return GgufLayout(head, len(head) + sum(sections), places)


def _check_shard(file: ListedFile, header: Header, number: int, count: int) -> None:
    name, scalars = file.path, header.scalars
    if SPLIT_COUNT not in scalars or b"split.no" not in scalars:
        raise Failure(
            f"{name} has no split.no and split.count: not a shard of a split GGUF; "
            "raw pieces of one file are joined by weights merge FIRST_PIECE OUTPUT"
        )
    if scalars[SPLIT_COUNT] != count:
        raise Failure(
            f"{name} is from a set of {scalars[SPLIT_COUNT]} shards, {count} are listed: mixed sets"
        )
    if scalars[b"split.no"] != number:
        raise Failure(
            f"{name} is shard {int(scalars[b'split.no']) + 1}, expected {number + 1}: swapped"
        )
    if header.alignment != DEFAULT_ALIGNMENT:
        # The merge tool pads with 32 whatever the file says, and engines demand contiguous tensors.
        raise Failure(
            f"{name} has general.alignment {header.alignment}: merged, such shards "
            "are not loadable; use them as shards"
        )
    _check_data(name, header, file.size - header.data_offset)


def _check_data(name: str, header: Header, size: int) -> None:
    """Raise Failure unless the tensors adjoin without gaps and fill `size` bytes of data."""
    least, most = data_span(name, header)
    if size < least:
        raise Failure(f"{name} ends before its last tensor does: truncated at the source")
    if most is not None and size > most:
        raise Failure(f"{name} goes on for {size - most} bytes past its last tensor: damaged")


def data_span(name: str, header: Header) -> tuple[int, int | None]:
    """Return the least and the most bytes of data that fit `header`.

    The most is None if the last tensor is of a type that is newer than this program. Raise Failure
    if there is a gap between tensors.
    """
    end: int | None = 0
    for tensor in header.tensors:
        if tensor.offset != end and (end is not None or tensor.offset % header.alignment):
            raise Failure(
                f"{name}: tensor {tensor.name.decode(errors='replace')} is not where the one "
                "before it ends: the header is damaged, or no tool that we know wrote it"
            )
        end = None if tensor.size is None else padded(tensor.offset + tensor.size, header.alignment)
    if not header.tensors:
        return 0, None
    last = header.tensors[-1]
    return last.offset + (1 if last.size is None else last.size), end


def _check_set(name: str, headers: Sequence[Header]) -> None:
    names = [tensor.name for header in headers for tensor in header.tensors]
    if len(set(names)) != len(names):
        twice = next(tensor for tensor, times in Counter(names).items() if times > 1)
        raise Failure(
            f"{name}: tensor {twice.decode(errors='replace')} is in two shards: mixed sets"
        )
    for header in headers:
        expected = header.scalars.get(b"split.tensors.count")
        if expected is not None and expected != len(names):
            raise Failure(
                f"{name}: the set says {expected} tensors, its shards have {len(names)}: mixed sets"
            )
