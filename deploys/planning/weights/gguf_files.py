"""Which of a model's GGUF files an engine opens, judged by their names.

What a name cannot say, the file's header does once it is there (remote/gguf.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from deploys.planning.inputs.refusal import Refusal

SHARD = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
# What `split` and other tools leave of one file: x.gguf.part1of2, x.gguf-split-a, x.gguf.001.
_PIECE = re.compile(
    r"(?P<whole>.+\.gguf)[.-](?:part[.-]?|split[.-]?)?(?:\d+|[a-z]{1,2})(?:of\d+)?", re.IGNORECASE
)
# Beside a model: the part that sees pictures, and what its quantization was chosen by.
_BESIDE = ("mmproj", "imatrix")


def model_file(paths: Iterable[str]) -> str:
    """Return the GGUF file that an engine opens: the whole file, or the first of its shards.

    The other shards follow from its name. Raise Refusal if no file is a model, or several are.
    """
    paths = sorted(paths)
    found = models(paths)
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


def models(paths: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Group `paths` into models, by name and by the number of shards or pieces in their names.

    Files that lie beside a model, such as projectors, are left out.
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
    return found


def is_beside(path: str) -> bool:
    """Whether a file is called like one that is no model itself."""
    *folders, name = path.lower().split("/")
    return any(word in name or word in folders for word in _BESIDE)


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if paths[3:] else "")
