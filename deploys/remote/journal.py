"""What is known to be on disk, kept so that a killed transfer can go on.

One JSON object a line, appended and synced; the last line about a key counts. A line is written
only after the data it speaks of has been synced, so the journal never claims more than the disk
holds.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .durable import replace, write_all
from .failure import Stopped


@dataclass(frozen=True)
class Entry:
    """The first `at` bytes of the file are in place; `proven`: all, with the right digest.

    `stat` is (size, mtime in ns, inode) of a proven file of its own, empty for a part of a merged
    file.
    """

    at: int
    proven: bool = False
    stat: tuple[int, ...] = ()


class Journal:
    """Entries by key, durable when the call returns; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._entries = _load(path)
        replace(path, b"".join(_line(key, entry) for key, entry in self._entries.items()))
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def get(self, key: str) -> Entry:
        """What is known about `key`; nothing known is zero bytes."""
        return self._entries.get(key, Entry(0))

    def put(self, key: str, entry: Entry) -> None:
        """`entry` holds for `key` from now on."""
        with self._lock:
            if self._fd < 0:
                raise Stopped  # a thread that woke up after the run had ended
            self._entries[key] = entry
            write_all(self._fd, _line(key, entry))
            os.fdatasync(self._fd)

    def forget(self, key: str) -> None:
        """Nothing is known about `key` any more."""
        self.put(key, Entry(0))

    def close(self) -> None:
        """Later entries are refused."""
        with self._lock:
            os.close(self._fd)
            self._fd = -1


def _line(key: str, entry: Entry) -> bytes:
    record = {"key": key, "at": entry.at, "proven": entry.proven, "stat": entry.stat}
    return json.dumps(record).encode() + b"\n"


def _load(path: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return entries
    for line in lines:
        try:
            record: dict[str, Any] = json.loads(line)
            entry = Entry(int(record["at"]), bool(record["proven"]), tuple(record["stat"]))
            entries[str(record["key"])] = entry
        except (ValueError, KeyError, TypeError):
            continue  # the torn last line of a killed run
    return entries
