"""Validation of hub listings: which files make up a model, and whether they can be pinned.

Paths, sizes and digests of a listing are untrusted input. The clients write wherever it says, and
engines load whatever is in a directory, so all of it is checked before anything is fetched.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

from deploys.planning.inputs.locks import ListedFile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Model
from deploys.planning.weights import gguf_files


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One file as a hub lists it; sha256 is empty if neither hub nor content gave it."""

    path: str
    size: int
    sha256: str


def files_of(model: Model, listing: Iterable[Listed]) -> tuple[ListedFile, ...]:
    """Return the files that the model's patterns select, sorted by path; raise Refusal if unfit."""
    listing = list(listing)
    chosen = sorted(
        (file for file in listing if selects(model, file.path)), key=lambda file: file.path
    )
    if not chosen:
        raise Refusal(f"none of its files matches {', '.join(model.files)}", _PATTERNS)
    for file, following in pairwise(chosen):
        if file.path == following.path:
            raise Refusal(f"it lists {file.path} twice", _OTHER_HUB)
    files = tuple(_file(file) for file in chosen)
    paths = [file.path for file in files]
    _refuse_pickles(model, paths)
    _refuse_gaps(paths, [file.path for file in listing])
    _refuse_mixtures(model, paths)
    return files


def selects(model: Model, path: str) -> bool:
    """Return whether a file belongs to the model, by the patterns of its catalogue entry."""
    # ModelScope's own description of a repository; no engine reads it and no other hub has it.
    if path == "configuration.json" and path not in model.files:
        return False
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in model.files)


def difference(pinned: Sequence[ListedFile], found: Iterable[ListedFile | Listed]) -> str:
    """Return how a listing contradicts the pins, with both digests, or "" if it does not.

    Files that are not pinned are ignored.
    """
    there = {file.path: file for file in found}
    for file in pinned:
        other = there.get(file.path)
        if other is None:
            return f"{file.path} is not there"
        if other.sha256.lower() != file.sha256:
            return f"{file.path} has sha256 {other.sha256.lower() or 'unknown'} there, and" + (
                f" {file.sha256} is pinned"
            )
        if other.size != file.size:
            return f"{file.path} has {other.size} bytes there, and {file.size} are pinned"
    return ""


_PATTERNS = "Correct the file patterns of the model"
_OTHER_HUB = "Do not fetch from there: use another hub or mirror, and tell those who run this one"
# Our own record lies beside the files (remote/manifest.py).
_RESERVED = (".fetch", "manifest.json")
# Python objects, which run code of their maker's when they are loaded.
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_SHARD = re.compile(
    r"(?P<prefix>.+)-(?P<number>\d{5,6})-of-(?P<count>\d{5,6})\.(?P<format>gguf|safetensors)",
    re.IGNORECASE,
)


def _file(listed: Listed) -> ListedFile:
    path, parts = listed.path, listed.path.split("/")
    if (
        "\\" in path
        or any(ord(letter) < 32 or ord(letter) == 127 for letter in path)
        or any(part in ("", ".", "..") for part in parts)
    ):
        raise Refusal(f"it lists {path!r}, which leads out of the model's folder", _OTHER_HUB)
    if parts[0] in _RESERVED:
        raise Refusal(f"it has {path}, a name that our own record needs", _PATTERNS)
    digest = listed.sha256.lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise Refusal(f"it gives no sha256 for {path}, so nothing could prove the file", _OTHER_HUB)
    if listed.size < 0:
        raise Refusal(f"it lists {path} with {listed.size} bytes", _OTHER_HUB)
    return ListedFile(path=path, size=listed.size, sha256=digest)


def _refuse_pickles(model: Model, paths: Sequence[str]) -> None:
    said = {suffix for suffix in _PICKLES if any(each.endswith(suffix) for each in model.files)}
    for path in paths:
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in _PICKLES and suffix not in said:
            raise Refusal(
                f"{path} is a pickle, which runs code when it is loaded",
                f"Narrow the model's file patterns, or name *{suffix} among them to have it anyway",
            )


def _refuse_gaps(paths: Sequence[str], listed: Sequence[str]) -> None:
    there = _sets(listed)
    for (prefix, count), numbers in _sets(paths).items():
        wanted = set(range(1, count + 1))
        if _has_index(prefix, paths):
            # It names the files, and is read where they are (remote/checkpoint.py). Some sets begin
            # at 0, some say another number than there is: wanted is all that is listed, no gap.
            wanted = set(range(min(numbers), max(there[prefix, count]) + 1)) | there[prefix, count]
        for wrong, what in ((wanted - numbers, "missing"), (numbers - wanted, "too many")):
            if wrong:
                some = ", ".join(map(str, sorted(wrong)[:5])) + (", ..." if len(wrong) > 5 else "")
                raise Refusal(
                    f"of the {count} shards of {prefix}, {len(wrong)} are {what} ({some})",
                    "Correct the file patterns of the model, or use another hub",
                )


def _refuse_mixtures(model: Model, paths: Sequence[str]) -> None:
    """Raise Refusal if files of several models are selected: an engine would load part of each."""
    if model.format == "gguf":
        gguf_files.model_file(paths)
    elif len(found := _sets(paths)) > 1:
        raise Refusal(
            f"its files belong to several models: {', '.join(sorted(name for name, _ in found))}",
            "Narrow the model's file patterns to one of them",
        )


def _has_index(prefix: str, paths: Sequence[str]) -> bool:
    folder = prefix.rpartition("/")[0]
    return any(
        path.rpartition("/")[0] == folder and path.endswith(".safetensors.index.json")
        for path in paths
    )


def _sets(paths: Sequence[str]) -> dict[tuple[str, int], set[int]]:
    """Return the shard numbers found, by prefix and shard count of their set."""
    sets: dict[tuple[str, int], set[int]] = {}
    for path in paths:
        if match := _SHARD.fullmatch(path):
            key = match["prefix"], int(match["count"])
            sets.setdefault(key, set()).add(int(match["number"]))
    return sets
