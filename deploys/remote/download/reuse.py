"""Files that were verified in place are not fetched again: the journal has them from the start."""

from __future__ import annotations

import os
from pathlib import Path

from ..formats import gguf
from ..formats.gguf_layout import shards_of
from ..lib.durable import rename
from ..lib.failure import Failure
from ..lib.journal import Journal, JournalEntry
from ..lib.spec import ListedFile, Spec
from ..merge.shards import PART, kept, part_entry, part_of
from ..model_dir import manifest
from ..model_dir.prove import Proof
from .target import Target


def keep(spec: Spec, proof: Proof, journal: Journal) -> None:
    """Enter what `proof` found right into the journal, so that only the rest is fetched."""
    changed = [each for each, _ in manifest.changes(proof.found, spec.directory)]
    digests = {file.path: file for file in spec.files}
    for each in proof.found.files:
        if each not in changed and (file := digests.get(each.path)):
            stat = (each.size, each.mtime_ns, each.inode or 0)
            journal.put({Target(file, -1).key: JournalEntry(((0, file.size),), True, stat)})
    if proof.sound and spec.output:
        _reopen(spec, spec.directory / spec.output, proof.sound, journal)


def _reopen(spec: Spec, output: Path, sound: tuple[ListedFile, ...], journal: Journal) -> None:
    """Make the merged file unfinished again: named `.part`, with zeros where its header was."""
    shards, _ = shards_of(spec.files)
    try:
        _, layout = kept(spec.directory, shards)
    except (OSError, Failure, gguf.HeaderIncomplete):
        return  # without the headers, nobody knows what is where in it
    entries = {
        Target(file, -1, place).key: JournalEntry(((0, file.size),), True)
        if file in sound
        else JournalEntry()
        for file, place in zip(shards, layout.places)
    }
    fd = os.open(output, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        journal.put({**entries, PART: part_entry(fd)})
        os.pwrite(fd, bytes(len(layout.header)), 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    rename(output, part_of(spec))
