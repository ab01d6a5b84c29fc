"""What this machine gives to other machines while it fetches a model, and from then on.

In the folder that the machine's web server gives: `<sha256>` leads to the file that holds the
content, `<sha256>.head` to the bytes before it (the header of a shard that is being merged), and
`<id>.json` says what of a model is here. `id` is derived from the listing, so machines that fetch
the same files find each other by it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .durable import replace
from .spec import File

# Seconds between two reports; one without news shows that this fetch is alive.
NEWS_EVERY = 0.25
SIGN_EVERY = 1.0

Range = tuple[int, int]


@dataclass
class Held:
    """One file: from byte `head` on it lies in another file, from byte `place` of that on.

    `have` are the byte ranges (first, behind the last) that are here, ascending and apart.
    """

    file: File
    head: int = 0
    place: int = 0
    have: list[Range] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {"head": self.head, "place": self.place, "have": self.have}


class Share:
    """The part of the folder that is about one model; safe to use from several threads."""

    def __init__(self, folder: Path, files: Sequence[File]) -> None:
        self._folder = folder
        self._report = folder / f"{listing_id(files)}.json"
        self._held = {file.sha256: Held(file) for file in files}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._beat = 0
        self._news, self._written = True, 0.0

    def lies_in(self, file: File, body: Path, *, place: int = 0, head: Path | None = None) -> None:
        """The content of `file` is, or will be, in `body`; its first bytes, if given, in `head`."""
        with self._lock:
            held = self._held[file.sha256]
            held.place, held.head = place, 0
            if head is not None:
                held.head = min(place_of_body(head), file.size)
                _link(head, self._folder / f"{file.sha256}.head")
                held.have = joined([*held.have, (0, held.head)])
            _link(body, self._folder / file.sha256)
            self._news = True

    def has(self, file: File, start: int, stop: int) -> None:
        """These bytes are there to be read."""
        with self._lock:
            held = self._held[file.sha256]
            held.have = joined([*held.have, (start, stop)])
            self._news = True

    def lost(self, file: File) -> None:
        """What was there of `file` has turned out to be wrong."""
        with self._lock:
            held = self._held[file.sha256]
            held.have = [(0, held.head)] if held.head else []
            self._news = True
        self.tell(now=True)

    def tell(self, *, now: bool = False) -> None:
        """The report is as fresh as its readers expect; to be called often."""
        due = NEWS_EVERY if self._news else SIGN_EVERY
        if not now and time.monotonic() - self._written < due:
            return
        with self._writing:
            with self._lock:
                self._beat += 1
                self._news, self._written = False, time.monotonic()
                files = {sha256: held.to_json() for sha256, held in self._held.items()}
                report = {"beat": self._beat, "pid": os.getpid(), "files": files}
            # That others cannot take from here is no reason to stop fetching.
            with contextlib.suppress(OSError):
                replace(self._report, json.dumps(report).encode() + b"\n", sync=False)


def is_told(folder: Path, files: Sequence[File]) -> bool:
    """Whether all of `files` are said to be here, and lie where that leads to."""
    try:
        report = json.loads((folder / f"{listing_id(files)}.json").read_bytes())
        told = {sha256: held["have"] for sha256, held in report["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(
        told.get(file.sha256) == ([[0, file.size]] if file.size else [])
        and (folder / file.sha256).is_file()
        for file in files
    )


def listing_id(files: Sequence[File]) -> str:
    """64 hex digits, the same on every machine that wants the same content."""
    lines = sorted(f"{file.sha256} {file.size}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def joined(ranges: Sequence[Range]) -> list[Range]:
    """The same bytes in as few ranges as possible, ascending."""
    found: list[Range] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(stop, found[-1][1])
        else:
            found.append((start, stop))
    return found


def place_of_body(head: Path) -> int:
    """How many bytes lie before the body; the head holds these and no more."""
    return head.stat().st_size


def _link(target: Path, link: Path) -> None:
    temporary = link.with_name(f".{link.name}.{os.getpid()}.new")
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
