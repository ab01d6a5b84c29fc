"""Which of a repository's safetensors are the model: by its index, or by names and sizes.

Engines are given the folder, and load what its index names, or else every file at its top. Numbers
in names are a convention: sets begin at 0, and say another number of files than there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from deploys.planning.inputs.locks import ListedFile
from deploys.planning.inputs.refusal import Refusal

SUFFIX = ".safetensors"
# The one that engines read.
INDEX = "model.safetensors.index.json"
_SHARD = re.compile(
    r"(?P<prefix>.+)-(?P<number>\d{5,6})-of-(?P<count>\d{5,6})\.safetensors", re.IGNORECASE
)
# What `split` and other tools leave of one file: x.safetensors.part1of2, x.safetensors.001.
_PIECE = re.compile(r".+\.safetensors[.-](?:part|split)?[.-]?(?:\d+|[a-z]{1,2})(?:of\d+)?", re.I)
# A part with so much of the size of the model is the model once more, in half the width even.
_COPY = 0.4
# The weights once more, as the makers of Mistral load them.
_MISTRAL = "consolidated"
_NARROW = "Narrow the model's file patterns to one of them"
_CORRECT = "Correct the file patterns of the model, or use another hub"


def check(
    chosen: Sequence[ListedFile], listed: Sequence[str], documents: Mapping[str, Any]
) -> None:
    """Raise Refusal unless the chosen files are one model, whole, that engines find.

    + listed: paths of all files of the repository
    + documents: its JSON documents as far as they are known, by path
    """
    paths = [file.path for file in chosen]
    for path in paths:
        if _PIECE.fullmatch(path):
            raise Refusal(
                f"{path} is a piece of a file, and no engine opens pieces",
                "Set files of the model to whole files, of another repository if need be",
            )
        if path.lower().endswith(SUFFIX) and not path.endswith(SUFFIX):
            raise Refusal(
                f"no engine finds {path}, as its name ends in capitals",
                "Choose a repository whose files end in .safetensors",
            )
    weights = {file.path: file.size for file in chosen if file.path.endswith(SUFFIX)}
    top = {path: size for path, size in weights.items() if "/" not in path}
    if not weights:
        raise Refusal(
            f"none of its files is weights that an engine loads: {_some(paths)}",
            "Set files of the model to patterns that select its *.safetensors, too",
        )
    if not top:
        raise Refusal(
            f"its weights are in folders alone ({_some(sorted(weights))}), where no engine looks",
            "Choose a repository that has them at its top",
        )
    index = documents.get(INDEX) if INDEX in paths else None
    named = None if index is None else _named(index)
    if named is None:
        _check_numbers(paths, listed)
    elif missing := sorted(named - set(top)):
        lacking = not set(missing) <= set(listed)
        raise Refusal(
            f"of the {len(named)} files that its index names, {len(missing)} are missing"
            f" ({_some(missing)})",
            "Use another hub or repository: this one lacks them" if lacking else _CORRECT,
        )
    _refuse_copies(weights, top, named)


def _named(index: object) -> set[str]:
    """Return the files that an index names."""
    mapped = index.get("weight_map") if isinstance(index, Mapping) else None
    if not isinstance(mapped, Mapping) or not mapped:
        raise Refusal(f"{INDEX} has no weight_map", "Choose another repository, or another hub")
    return {str(file) for file in mapped.values()}


def _refuse_copies(
    weights: Mapping[str, int], top: Mapping[str, int], named: set[str] | None
) -> None:
    """Raise Refusal if the weights are there twice: an engine loads the one or both.

    What is a model once more has the size of one; what belongs to it, such as layers that predict
    further tokens, is small.
    """
    theirs = sorted(path for path in top if path.startswith(_MISTRAL))
    if ours := sorted(set(top) - set(theirs)) if theirs else []:
        raise Refusal(
            f"it has the weights twice, as {_some(theirs)} and as {_some(ours)}, and engines"
            " differ in which they load",
            "Narrow the model's file patterns: model*.safetensors leaves the former out",
        )
    if named is not None:
        main = named & top.keys()
    else:
        singles = {path for path in top if not _is_variant(path, top)}
        main = {path for path in top if _SHARD.fullmatch(path)} or singles
    others: dict[str, int] = {}
    for path, size in weights.items():
        if path not in main:
            others[_part(path)] = others.get(_part(path), 0) + size
    whole = sum(top[path] for path in main)
    if twice := sorted(part for part, size in others.items() if size >= _COPY * whole > 0):
        raise Refusal(
            f"it has the weights twice, as {_some(sorted(main))} and as {_some(twice)}", _NARROW
        )


def _is_variant(path: str, top: Mapping[str, int]) -> bool:
    """Whether it is another type's, as x.fp16.safetensors is beside x.safetensors."""
    plain = path.partition(".")[0] + SUFFIX
    return path != plain and plain in top


def _part(path: str) -> str:
    """Return what a file is a part of: a folder, a set of shards, or nothing but itself."""
    folder, slash, _ = path.partition("/")
    shard = _SHARD.fullmatch(path)
    return folder + slash if slash else shard["prefix"] if shard else path


def _check_numbers(paths: Sequence[str], listed: Sequence[str]) -> None:
    """Raise Refusal if a set of shards has gaps; an index that is read later may say otherwise."""
    there = _sets(listed)
    found = _sets(paths)
    for (prefix, count), numbers in found.items():
        wanted = set(range(1, count + 1))
        if _has_index(prefix, paths):
            # It names the files, and is read where they are (remote/formats/checkpoint.py). Till
            # then wanted is all that is listed, without a gap.
            wanted = set(range(min(numbers), max(there[prefix, count]) + 1)) | there[prefix, count]
        for wrong, what in ((wanted - numbers, "missing"), (numbers - wanted, "too many")):
            if wrong:
                raise Refusal(
                    f"of the {count} shards of {prefix}, {len(wrong)} are {what}"
                    f" ({_some(sorted(wrong), 5)})",
                    _CORRECT,
                )
    if len(found) > 1:
        raise Refusal(
            f"its files belong to several models: {_some(sorted(name for name, _ in found))}",
            _NARROW,
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


def _some(names: Sequence[object], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(map(str, names[:most])) + (f" and {more} more" if more > 0 else "")
