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

from deploys.planning.adapters.adapter import Adapter
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.inputs.locks import ListedFile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Model
from deploys.planning.weights import claim, gguf_files, safetensors_files


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One file as a hub lists it; sha256 is empty if neither hub nor content gave it."""

    path: str
    size: int
    sha256: str


def files_of(
    model: Model | Adapter, listing: Iterable[Listed], documents: Documents | None = None
) -> tuple[ListedFile, ...]:
    """Return the files that the model's patterns select, sorted by path; raise Refusal if unfit.

    + documents: of the repository, as far as they were read; the index and the headers are the
      truth then, and names and sizes what is to go by without them
    """
    listing = list(listing)
    chosen = sorted(
        (file for file in listing if selects(model, file.path)), key=lambda file: file.path
    )
    if not chosen:
        raise Refusal(f"none of its files matches {', '.join(model.patterns)}", _PATTERNS)
    for file, following in pairwise(chosen):
        if file.path == following.path:
            raise Refusal(f"it lists {file.path} twice", _OTHER_HUB)
    files = tuple(_file(file) for file in chosen)
    paths = [file.path for file in files]
    _refuse_pickles(model, paths)
    listed, documents = [file.path for file in listing], documents or Documents()
    if isinstance(model, Adapter):
        return files
    if model.format == "gguf":
        gguf_files.check(paths, documents.gguf)
        gguf_files.projector(model.projector, paths)
    else:
        safetensors_files.check(files, listed, documents.json)
        claim.check(model, documents)
    return files


def selects(model: Model | Adapter, path: str) -> bool:
    """Return whether a file belongs to the model, by the patterns of its catalogue entry."""
    # ModelScope's own description of a repository; no engine reads it and no other hub has it.
    if path == "configuration.json" and path not in model.files:
        return False
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in model.patterns)


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


def _refuse_pickles(model: Model | Adapter, paths: Sequence[str]) -> None:
    said = {suffix for suffix in _PICKLES if any(each.endswith(suffix) for each in model.files)}
    for path in paths:
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in _PICKLES and suffix not in said:
            raise Refusal(
                f"{path} is a pickle, which runs code when it is loaded",
                f"Narrow the model's file patterns, or name *{suffix} among them to have it anyway",
            )
