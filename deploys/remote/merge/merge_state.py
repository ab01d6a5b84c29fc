"""State of a merge on this machine, kept until it is done: what it began with, and how far it is.

In `.fetch/`: `begun.json` with `begun.heads` (the headers, which are lost with a part that was
removed), and `reached`, the journal: which bytes of each part, by name, are safe on disk. After a
kill or a power cut at any moment the merge can be resumed from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import replace as altered
from pathlib import Path
from typing import Any

from ..formats.shard_set import Part, ShardSet, find_set
from ..lib import journal
from ..lib.durable import replace
from ..lib.failure import Failure
from ..lib.journal import Journal, JournalEntry
from ..model_dir import manifest
from ..model_dir.manifest import Record

RECORD, HEADS, REACHED = "begun.json", "begun.heads", "reached"


@dataclass(frozen=True)
class MergeState:
    """A merge that has begun.

    `digests` are by file name, as far as they are known; `others` stay beside the new file.
    """

    output: Path
    whole: ShardSet
    digests: dict[str, str]
    model: str
    repository: str = ""
    revision: str = ""
    others: tuple[Record, ...] = ()

    @property
    def part(self) -> Path:
        """Path of the file until it is complete."""
        return self.output.with_name(f"{self.output.name}.part")


def begin(first: Path, output: Path, digests: Mapping[str, str], *, free: bool) -> MergeState:
    """Return a new merge, writing nothing; raise Failure if it cannot be done."""
    whole = find_set(first)
    names = {part.path.name for part in whole.parts}
    if output.exists():
        raise Failure(
            f"{output} is a folder: name the file in it"
            if output.is_dir()
            else f"{output} exists already: move it away, or choose another name"
        )
    if (output.parent / ".fetch" / "journal").exists():
        raise Failure(
            f"a fetch into {output.parent} is unfinished: finish it, or remove .fetch in there"
        )
    beside = manifest.load(first.parent / manifest.NAME)
    there = manifest.load(output.parent / manifest.NAME)
    if there and (there != beside or not names & {each.path for each in there.files}):
        raise Failure(
            f"{output.parent} holds {there.model} already, a model directory holds one model: "
            "give the output a folder of its own"
        )
    if free and any(part.path.is_symlink() for part in whole.parts):
        raise Failure(
            f"{first.name} is a link, to remove it would free nothing: leave --free out, or name "
            "the file that it points to"
        )
    known: dict[str, str] = {}
    if beside:
        known.update((Path(each.path).name, each.sha256) for each in beside.sources)
        known.update((Path(each.path).name, each.sha256) for each in beside.files)
    others = there.files if there else ()
    return MergeState(
        output,
        whole,
        {**known, **digests},
        beside.model if beside else output.stem,
        beside.repository if beside else "",
        beside.revision if beside else "",
        tuple(each for each in others if each.path not in names),
    )


def save(state: Path, work: MergeState) -> None:
    """Save `work`, so that `load` returns it."""
    heads = [work.whole.header, *(part.header for part in work.whole.parts)]
    record = asdict(work)
    record["whole"]["header"] = len(work.whole.header)
    for each, part in zip(record["whole"]["parts"], work.whole.parts):
        each.update(path=str(part.path), header=len(part.header))
    record["output"] = str(work.output)
    replace(state / HEADS, b"".join(heads), mode=0o600)
    replace(state / RECORD, json.dumps(record, indent=1).encode(), mode=0o600)


def load(state: Path, output: Path, digests: Mapping[str, str]) -> MergeState | None:
    """Return the unfinished merge into `output`, with its parts as they are now.

    `digests` are known now and override those known then. Return None if there is no such merge or
    it has to start over; raise Failure if it can be neither resumed nor started over.
    """
    work = _read(state)
    if not work:
        return None
    if work.output != output:
        raise Failure(
            f"a merge into {work.output} is unfinished: finish it with weights merge "
            f"{work.whole.parts[0].path} {work.output}, or remove {state} and {work.part}"
        )
    if not work.part.exists() and not output.exists():
        return None
    work = altered(work, digests={**work.digests, **digests})
    if (state / manifest.NAME).exists():
        return work  # all is proven, only names are missing
    reached = journal.load(state / REACHED)
    changed = [part for part in work.whole.parts if _is_changed(part)]
    done = {part.path for part in work.whole.parts if reached.get(part.path.name) == all_of(part)}
    gone = [part for part in work.whole.parts if not part.path.exists()]
    lost = [part for part in gone if part.path not in done]
    if lost:
        raise Failure(
            f"{lost[0].path} is missing, and {work.part} does not have it yet: fetch it again, "
            "then run the same merge again"
        )
    if not changed:
        return work
    renewed = _with_new(state, work, changed)
    if not renewed and gone:
        raise Failure(
            f"{changed[0].path} has another size or header than when the merge began, and parts "
            "before it are freed already: bring that file back, or fetch the model anew"
        )
    return renewed


def all_of(part: Part) -> JournalEntry:
    """Return the journal entry of a part that is safe on disk."""
    return JournalEntry(((0, part.size),))


def forget(state: Path) -> None:
    """Discard what is known to be in the file: it is from other parts, or from none."""
    (state / REACHED).unlink(missing_ok=True)


def _with_new(state: Path, work: MergeState, changed: list[Part]) -> MergeState | None:
    """Return `work` with parts that were fetched again; None if they do not fit the old places."""
    renewed = {}
    for part in changed:
        found = part.path.stat()
        with part.path.open("rb") as file:
            header = file.read(len(part.header))
        if (found.st_size, header) != (part.size, part.header):
            return None
        renewed[part] = altered(part, mtime_ns=found.st_mtime_ns)
    reached = Journal(state / REACHED)
    for part in changed:
        reached.forget(part.path.name)
    reached.close()
    parts = tuple(renewed.get(part, part) for part in work.whole.parts)
    work = altered(work, whole=altered(work.whole, parts=parts))
    save(state, work)
    return work


def _is_changed(part: Part) -> bool:
    try:
        found = part.path.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) != (part.size, part.mtime_ns)


def _read(state: Path) -> MergeState | None:
    try:
        value: dict[str, Any] = json.loads((state / RECORD).read_bytes())
        heads = (state / HEADS).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return heads[at - count : at]

    try:
        whole = value["whole"]
        header = take(whole["header"])
        parts = [
            Part(**{**each, "path": Path(each["path"]), "header": take(each["header"])})
            for each in whole["parts"]
        ]
        others = tuple(Record(**each) for each in value["others"])
        return MergeState(
            **{
                **value,
                "output": Path(value["output"]),
                "whole": ShardSet(tuple(parts), header, whole["size"]),
                "others": others,
            }
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{state / RECORD} is damaged ({error}): remove {state}") from error
