"""Files on this machine that belong together: shards of a split GGUF, or pieces of a cut file.

Shards are GGUF files of their own (`x-00001-of-00002.gguf`). Pieces are what `split` and other
tools make of one file: `x.gguf.part1of2`, `x.gguf-split-a`, `x.gguf.a`, `x.gguf.001`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..lib.content import looks_like
from ..lib.failure import Failure
from ..lib.spec import ListedFile
from . import gguf
from .gguf_layout import SHARD_NAME, GgufLayout, data_span, lay_out

PIECE_NAME = re.compile(
    r"(?P<stem>.+\.gguf)(?P<mark>[.-](?:part[.-]?|split[.-]?)?)"
    r"(?P<number>\d+|[a-z]{1,3})(?:of(?P<count>\d+))?",
    re.IGNORECASE,
)
# The first bytes of a cut file: kept back until all else is there, so that nothing loads a part.
KEPT_BACK = 4096


@dataclass(frozen=True)
class Part:
    """One shard or piece; what follows its `header` goes to byte `place` of the whole.

    `header`, its first bytes, is not copied. `padding` zero bytes follow the rest.
    """

    path: Path
    size: int
    mtime_ns: int
    header: bytes
    place: int
    padding: int


@dataclass(frozen=True)
class ShardSet:
    """The file that `parts` are merged into: its first bytes and its size."""

    parts: tuple[Part, ...]
    header: bytes
    size: int


def find_set(first: Path) -> ShardSet:
    """Return what `first` and its set become; raise Failure unless it is one complete set."""
    if not first.is_file():
        raise Failure(f"{first} is not a file: name the first shard, or the first piece")
    if SHARD_NAME.fullmatch(first.name):
        return _of_shards(_shards(first))
    if PIECE_NAME.fullmatch(first.name):
        return _of_pieces(_pieces(first))
    raise Failure(
        f"{first.name} is named neither like a shard (x-00001-of-00002.gguf) nor like a piece "
        "(x.gguf.part1of2, x.gguf-split-a, x.gguf.001): rename it the way it was published"
    )


def _shards(first: Path) -> list[Path]:
    wanted = _named(SHARD_NAME, first.name)
    prefix, count = wanted[1], int(wanted[3])
    found = [each for each in first.parent.iterdir() if SHARD_NAME.fullmatch(each.name)]
    names = [_named(SHARD_NAME, each.name) for each in found]
    counts = sorted({int(name[3]) for name in names if name[1] == prefix})
    if len(counts) > 1:
        raise Failure(
            f"{first.parent} has more than one set of {prefix}: "
            f"{' and '.join(f'of {each} shards' for each in counts)}: keep one of them"
        )
    own = sorted(each for each, name in zip(found, names) if name[1] == prefix)
    numbers = [int(_named(SHARD_NAME, each.name)[2]) for each in own]
    _check_numbers(first, own, numbers, 0 if 0 in numbers else 1, count)
    return own


def _pieces(first: Path) -> list[Path]:
    wanted = _named(PIECE_NAME, first.name)
    letters = wanted["number"].isalpha()
    own: list[tuple[int, Path]] = []
    for each in first.parent.iterdir():
        name = PIECE_NAME.fullmatch(each.name)
        if not name or any(name[key] != wanted[key] for key in ("stem", "mark", "count")):
            continue
        number = name["number"]
        if number.isalpha() == letters and (not letters or len(number) == len(wanted["number"])):
            own.append((_number(number), each))
    own.sort()
    begin = 0 if letters or own[0][0] == 0 else 1
    count = int(wanted["count"]) if wanted["count"] else own[-1][0] - begin + 1
    _check_numbers(first, [each for _, each in own], [number for number, _ in own], begin, count)
    return [each for _, each in own]


def _check_numbers(
    first: Path, own: Sequence[Path], numbers: Sequence[int], begin: int, count: int
) -> None:
    for number, before, after in zip(numbers, own, own[1:]):
        if numbers.count(number) > 1:
            raise Failure(f"{before.name} and {after.name} are the same part: remove one of them")
    missing = sorted(set(range(begin, begin + count)) - set(numbers))
    if missing:
        parts = ", ".join(str(number) for number in missing)
        raise Failure(
            f"{first.parent} has {len(numbers)} of {count} parts of {first.name}, "
            f"missing: number {parts}; fetch what is missing into the same folder"
        )
    if len(numbers) > count:
        raise Failure(f"{own[-1].name} is one part too many, there should be {count}: remove it")
    if first.name != own[0].name:
        raise Failure(f"{first.name} is not the first part: name {own[0].name}")


def _of_shards(paths: Sequence[Path]) -> ShardSet:
    found = []
    for path in paths:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data, header = gguf.beginning(_reader([path]), size, path.name)
        found.append((ListedFile(path.name, size, ""), header, data[: header.data_offset]))
    layout = lay_out([(file, header) for file, header, _ in found])
    return _whole(paths, [header for _, _, header in found], layout)


def _of_pieces(paths: Sequence[Path]) -> ShardSet:
    sizes = [path.stat().st_size for path in paths]
    size = sum(sizes)
    data, header = gguf.beginning(_reader(paths), size, paths[0].name)
    for path in paths:
        _check_piece(path, is_first=path == paths[0])
    _check_size(paths, header, size)
    header_bytes = data[: min(KEPT_BACK, sizes[0])]
    places = [max(len(header_bytes), sum(sizes[:number])) for number in range(len(sizes))]
    layout = GgufLayout(header_bytes, size, tuple(places))
    return _whole(paths, [header_bytes, *[b""] * (len(paths) - 1)], layout)


def _check_size(paths: Sequence[Path], header: gguf.Header, size: int) -> None:
    name = f"{paths[0].name} and the {len(paths) - 1} after it"
    least, most = (
        None if each is None else header.data_offset + each
        for each in data_span(paths[0].name, header)
    )
    # Whether the last tensor is padded differs between tools; between the two there is nothing.
    if most is None or size in (least, most):
        return
    says = f"{name} have {size} bytes, the header of the whole says {most}"
    if size < most:
        raise Failure(f"{says}: the last pieces are missing, or one is truncated")
    raise Failure(f"{says}: a piece is there twice, or is from another file")


def _check_piece(path: Path, *, is_first: bool) -> None:
    with path.open("rb") as file:
        beginning = file.read(512)
    guess = looks_like(beginning)
    # Anything else may stand in the middle of a file.
    if guess.startswith(("a Git", "an HTML")):
        raise Failure(f"{path.name} is {guess}: fetch it again")
    if not beginning:
        raise Failure(f"{path.name} is empty: fetch it again")
    if not is_first and beginning[:4] == gguf.MAGIC:
        raise Failure(
            f"{path.name} is a GGUF file of its own, not a piece of one: if it is a shard, give "
            "the shards their names back (x-00001-of-00002.gguf)"
        )


def _whole(paths: Sequence[Path], headers: Sequence[bytes], layout: GgufLayout) -> ShardSet:
    parts = []
    ends = [*layout.places[1:], layout.size]
    for path, header, place, end in zip(paths, headers, layout.places, ends):
        found = path.stat()
        padding = end - place - max(0, found.st_size - len(header))
        parts.append(Part(path, found.st_size, found.st_mtime_ns, header, place, padding))
    return ShardSet(tuple(parts), layout.header, layout.size)


def _reader(paths: Sequence[Path]) -> gguf.Read:
    """Return a function that reads the first bytes of the files `paths` joined together."""

    def read(goal: int) -> bytes:
        data = b""
        for path in paths:
            if len(data) < goal:
                with path.open("rb") as file:
                    data += file.read(goal - len(data))
        return data

    return read


def _number(text: str) -> int:
    """Return the number that `7`, `007`, `c` or `ac` stands for; letters begin at 0."""
    if text.isdigit():
        return int(text)
    value = 0
    for letter in text:
        value = value * 26 + ord(letter.lower()) - ord("a")
    return value


def _named(pattern: re.Pattern[str], name: str) -> re.Match[str]:
    found = pattern.fullmatch(name)
    assert found, name
    return found
