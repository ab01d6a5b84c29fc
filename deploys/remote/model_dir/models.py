"""The models below a folder, and the state of each; no content is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..formats.shard_set import PIECE_NAME
from ..lib.failure import Failure
from ..lib.lock import is_held
from ..lib.space import human
from . import manifest

WEIGHTS = (".gguf", ".safetensors")
DEPTH = 3


@dataclass(frozen=True)
class ModelDirectory:
    """One model directory. `size`: bytes on disk of its files; `notes`: what to know, what to do.

    `state`: complete (the manifest holds), damaged (it does not), partial (there is none yet), or
    unproven (files that no manifest speaks of, or that were copied since theirs was written).
    """

    directory: Path
    state: str
    model: str
    size: int
    files: int
    notes: tuple[str, ...] = ()


def models_in(root: Path) -> list[ModelDirectory]:
    """Return `root` itself if it is a model directory, else those below it."""
    if not root.is_dir():
        raise Failure(f"{root} is not a folder: name one that has models, or one model")
    return list(_below(root, DEPTH))


def table(models: list[ModelDirectory]) -> str:
    """Return a table with one line per model, each followed by its notes."""
    rows = [("STATE", "SIZE", "FILES", "MODEL", "FOLDER")]
    rows += [(m.state, human(m.size), str(m.files), m.model, str(m.directory)) for m in models]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        lines.append("  ".join([*cells, row[4]]))
        notes = models[number - 1].notes if number else ()
        lines += [f"{' ' * (widths[0] + 2)}{note}" for note in notes]
    return "\n".join(lines)


def _below(folder: Path, depth: int) -> Iterator[ModelDirectory]:
    found = _model(folder)
    if found:
        yield found
    elif depth:
        for each in sorted(folder.iterdir()):
            if each.is_dir() and not each.name.startswith(".") and not each.is_symlink():
                yield from _below(each, depth - 1)


def _model(folder: Path) -> ModelDirectory | None:
    files = dict(_files(folder))
    taken = sum(found.st_blocks * 512 for found in files.values())
    state = folder / ".fetch"
    try:
        record = manifest.load(folder / manifest.NAME)
    except Failure as failure:
        return ModelDirectory(folder, "damaged", folder.name, taken, len(files), (str(failure),))
    if record:
        return _recorded(folder, record, files)
    if is_held(state / "lock"):
        return ModelDirectory(
            folder, "partial", folder.name, taken, len(files), ("being written now",)
        )
    if (state / "journal").exists():
        notes: tuple[str, ...] = ("unfinished: run the same fetch again, it goes on from here",)
        return ModelDirectory(folder, "partial", folder.name, taken, len(files), notes)
    if (state / "begun.json").exists():
        notes = ("unfinished: run the same merge again, it goes on from here",)
        return ModelDirectory(folder, "partial", folder.name, taken, len(files), notes)
    here = [path for path in files if os.sep not in path]
    pieces = sorted(path for path in here if _is_piece(path))
    if pieces or any(Path(path).suffix.lower() in WEIGHTS for path in here):
        merge = [f"no engine opens pieces: weights merge {folder / each} OUTPUT" for each in pieces]
        notes = ("no manifest says what these files should be", *merge[:1])
        return ModelDirectory(folder, "unproven", folder.name, taken, len(files), notes)
    return None


def _is_piece(path: str) -> bool:
    """Whether a file is called like a piece, and not like a copy (x.gguf.bak)."""
    named = PIECE_NAME.fullmatch(path)
    return named is not None and (named["number"].isdigit() or len(named["number"]) < 3)


def _recorded(
    folder: Path, record: manifest.Manifest, files: dict[str, os.stat_result]
) -> ModelDirectory:
    problems = manifest.problems(record, folder)
    copied = manifest.are_copied(problems)
    notes = [*problems[:3]]
    if len(problems) > 3:
        notes.append(f"and {len(problems) - 3} more: weights verify {folder}")
    if copied:
        notes.append(f"whether they are still the same: weights prove {folder}")
    own = {each.path for each in record.files} & set(files)
    more = [found for path, found in files.items() if path not in own]
    if more:
        size = human(sum(found.st_blocks * 512 for found in more))
        notes.append(f"beside it {len(more)} files, {size}, that the manifest does not name")
    taken = sum(files[path].st_size for path in own)
    state = "unproven" if copied else "damaged" if problems else "complete"
    return ModelDirectory(folder, state, record.model, taken, len(own), tuple(notes))


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path below `folder` and stat result of each file, except modelrack's own records."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".fetch"]
        for name in names:
            path = Path(place, name)
            relative = str(path.relative_to(folder))
            if relative != manifest.NAME and path.is_file():
                yield relative, path.stat()
