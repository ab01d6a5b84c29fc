"""Which of a model's GGUF files an engine opens, judged by their names, and headers where known.

What a name cannot say, the file's header does once it is there (remote/formats/gguf.py).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deploys.planning.inputs.refusal import Refusal

SHARD = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
# What `split` and other tools leave of one file: x.gguf.part1of2, x.gguf-split-a, x.gguf.001.
_PIECE = re.compile(
    r"(?P<whole>.+\.gguf)[.-](?:part[.-]?|split[.-]?)?(?:\d+|[a-z]{1,2})(?:of\d+)?", re.IGNORECASE
)
# Beside a model: what sees pictures, what its quantization was chosen by, and its tokens alone.
_BESIDE = ("mmproj", "imatrix", "ggml-vocab")
# The same where there is a model beside them: what drafts its tokens. Some models are called so.
_DRAFTS = {"draft", "mtp", "eagle", "eagle3", "dflash", "vocab"}
# What the header of a model cannot say that it is.
_PARTS = ("clip", "controlvector", "imatrix", "eagle3", "dflash")

Headers = Mapping[str, Mapping[str, Any]]


def check(paths: Sequence[str], headers: Headers) -> None:
    """Raise Refusal unless the files are one model, whole.

    + headers: metadata of those files whose headers were read, by path
    """
    file = model_file(paths, headers)
    shard = SHARD.fullmatch(file)
    count = headers.get(file, {}).get("split.count")
    said = count if type(count) is int and count > 0 else int(shard["count"]) if shard else 1
    if shard is None:
        if said > 1:
            raise Refusal(
                f"{file} is one of {said} shards by its header, and the others are not called so",
                "Choose a repository whose shards end in -00001-of-00002.gguf, and so on",
            )
        return
    numbers = {
        int(each["number"])
        for path in paths
        if (each := SHARD.fullmatch(path)) and each.group("prefix", "count") == shard.groups()[::2]
    }
    begin = 0 if 0 in numbers else 1
    for wrong, what in (
        (set(range(begin, begin + said)) - numbers, "missing"),
        (numbers - set(range(begin, begin + said)), "too many"),
    ):
        if wrong:
            some = ", ".join(map(str, sorted(wrong)[:5])) + (", ..." if len(wrong) > 5 else "")
            raise Refusal(
                f"of the {said} shards of {shard['prefix']}, {len(wrong)} are {what} ({some})",
                "Correct the file patterns of the model, or use another hub",
            )


def model_file(paths: Iterable[str], headers: Headers | None = None) -> str:
    """Return the GGUF file that an engine opens: the whole file, or the first of its shards.

    The other shards follow from its name. Raise Refusal if no file is a model, or several are.
    """
    paths = sorted(paths)
    found = models([path for path in paths if not _is_part(path, headers or {})])
    if len(found) > 1:
        raise Refusal(
            f"its files belong to several models: {', '.join(sorted(name for name, _ in found))}",
            "Narrow the model's file patterns to one of them",
        )
    for files in found.values():
        if _PIECE.fullmatch(files[0]):
            raise Refusal(
                f"{files[0]} is a piece of a file, and no engine opens pieces",
                "Set files of the model to a whole GGUF or to shards (-00001-of-00002.gguf), of"
                " another repository if this one has none",
            )
        return files[0]
    besides = [path for path in paths if path.lower().endswith(".gguf")]
    raise Refusal(
        f"none of its files is a model that an engine opens: {_some(besides or paths)}",
        "Set files of the model to patterns that select its GGUF, too",
    )


def projector(pattern: str | None, paths: Iterable[str]) -> str | None:
    """Return the file that lets a model see images, None where no pattern asks for one.

    Raise Refusal if the pattern selects another number of files than one.
    """
    if pattern is None:
        return None
    found = sorted(path for path in paths if fnmatch.fnmatchcase(path, pattern))
    if len(found) != 1:
        raise Refusal(
            f"its projector {pattern} selects {_some(found) or 'no file'}",
            "Set projector of the model to a pattern that selects one file, such as"
            " mmproj-F16.gguf",
        )
    return found[0]


def models(paths: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Group `paths` into models, by name and by the number of shards or pieces in their names.

    Files that lie beside a model, such as projectors and drafts, are left out.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for path in paths:
        if is_beside(path):
            continue
        if match := SHARD.fullmatch(path):
            found.setdefault((match["prefix"], match["count"]), []).append(path)
        elif match := _PIECE.fullmatch(path):
            # The whole file beside its own pieces makes two that could be meant.
            found.setdefault((f"{match['whole']} in pieces", ""), []).append(path)
        elif path.lower().endswith(".gguf"):
            found.setdefault((path, ""), []).append(path)
    drafts = {key for key in found if _DRAFTS & set(re.split(r"[^a-z0-9]+", key[0].lower()))}
    return {key: files for key, files in found.items() if key not in drafts} or found


def is_beside(path: str) -> bool:
    """Whether a file is called like one that is no model itself."""
    *folders, name = path.lower().split("/")
    return any(word in name or word in folders for word in _BESIDE)


def _is_part(path: str, headers: Headers) -> bool:
    """Whether a file's header says that it is no model itself."""
    header = headers.get(path, {})
    kind = header.get("general.type", "model")
    return header.get("general.architecture") in _PARTS or kind != "model"


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if paths[3:] else "")
