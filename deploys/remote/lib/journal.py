"""Journal of what is known to be on disk, from which a killed transfer is resumed.

One JSON object per line, appended and synced; the last line about a key counts. A line is written
only after the data it describes has been synced, so the journal never claims more than the disk
holds.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .durable import replace, write_all
from .failure import Stopped
from .ranges import Range


@dataclass(frozen=True)
class JournalEntry:
    """The bytes of one file that are in place: `ranges`.

    `proven`: all of the file is, and its digest is right. `stat` is (size, mtime in ns, inode) of a
    verified file of its own, empty for a part of a merged file.
    """

    ranges: tuple[Range, ...] = ()
    proven: bool = False
    stat: tuple[int, ...] = ()


class Journal:
    """Entries by key, durable once a call returns; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._entries = load(path)
        replace(path, b"".join(_line(key, entry) for key, entry in self._entries.items()))
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def get(self, key: str) -> JournalEntry:
        """Return what is known about `key`."""
        return self._entries.get(key, JournalEntry())

    def put(self, entries: Mapping[str, JournalEntry]) -> None:
        """Record `entries`, each under its key; raise Stopped after `close`."""
        with self._lock:
            if self._fd < 0:
                raise Stopped  # a thread that woke up after the run had ended
            self._entries.update(entries)
            write_all(self._fd, b"".join(_line(key, entry) for key, entry in entries.items()))
            os.fdatasync(self._fd)

    def forget(self, key: str) -> None:
        """Discard what is known about `key`."""
        self.put({key: JournalEntry()})

    def close(self) -> None:
        """Close the journal; later entries are refused."""
        with self._lock:
            os.close(self._fd)
            self._fd = -1


def load(path: Path) -> dict[str, JournalEntry]:
    """Return the entries of a journal, whether or not another process is writing to it."""
    entries: dict[str, JournalEntry] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return entries
    for line in lines:
        try:
            record: dict[str, Any] = json.loads(line)
            ranges = tuple((int(start), int(stop)) for start, stop in record["ranges"])
            entry = JournalEntry(ranges, bool(record["proven"]), tuple(record["stat"]))
            entries[str(record["key"])] = entry
        except (ValueError, KeyError, TypeError):
            continue  # the torn last line of a killed run
    return entries


def _line(key: str, entry: JournalEntry) -> bytes:
    record = {"key": key, "ranges": entry.ranges, "proven": entry.proven, "stat": entry.stat}
    return json.dumps(record).encode() + b"\n"
