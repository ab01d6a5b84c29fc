"""What this machine shares with other machines while it fetches a model, and from then on.

It is in the folder that the machine's web server serves: `<sha256>` is a link to the file that
holds the content, `<sha256>.head` one to the bytes before it (the header of a shard that was
merged). `<id>.now` reports what is here of a model while it is fetched, and `<id>.json` once it is
complete; `id` is derived from the listing, so machines that want the same files find each other by
it. The web server removes every `.now` when it starts: after a power cut, less may be here than it
reports.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..formats import gguf
from ..formats.gguf_layout import shards_of
from ..lib.durable import replace
from ..lib.ranges import Range
from ..lib.spec import ListedFile, Spec
from ..merge.shards import head_of, kept

# Seconds between two reports with news, and between two that only show that this fetch is alive.
NEWS_EVERY = 0.25
SIGN_EVERY = 1.0


@dataclass
class LocalCopy:
    """What is here of one file: its first `head` bytes in a file of their own, the rest in another.

    The rest begins at byte `place` of that other file. `have` are the byte ranges that are here, as
    (start, stop) with `stop` excluded.
    """

    head: int = 0
    place: int = 0
    have: tuple[Range, ...] = ()


class Share:
    """The links and the report of one model in the folder; safe to use from several threads."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self._spec, self._folder = spec, folder
        self._now, self._complete = report_paths(folder, spec.files)
        self._held = {file.sha256: LocalCopy() for file in spec.files}
        self._lock = threading.Lock()
        self._beat, self._due = 0, 0.0
        self._said: dict[str, LocalCopy] = {}
        # The web server is another user; nothing in there is secret.
        with contextlib.suppress(OSError):
            (spec.directory / ".fetch").chmod(0o711)

    def link(self, file: ListedFile, body: Path, *, head: int = 0, place: int = 0) -> None:
        """Link `file` to `body`, which holds, or will hold, its bytes from `head` on.

        They begin at byte `place` of `body`.
        """
        with self._lock:
            held = self._held[file.sha256]
            held.head, held.place = head, place
        if head:
            _link(head_of(self._spec.directory, file), self._folder / f"{file.sha256}.head")
        _link(body, self._folder / file.sha256)

    def holds(self, file: ListedFile, have: Iterable[Range]) -> None:
        """Record that these bytes of the file are here now, and no others."""
        with self._lock:
            self._held[file.sha256].have = tuple(have)

    def publish_complete(self) -> None:
        """Report that the model is complete; every file must have its final name."""
        place, spec = self._spec.directory, self._spec
        shards, plain = shards_of(spec.files) if spec.output else ([], list(spec.files))
        for file in plain:
            self.link(file, place / file.path)
        # Without the headers, shards cannot be given: the merged file has another one.
        with contextlib.suppress(OSError, gguf.NotGguf, gguf.HeaderIncomplete):
            heads, layout = kept(place, shards) if shards else ([], None)
            for file, head, at in zip(shards, heads, layout.places if layout else ()):
                self.link(file, place / (spec.output or ""), head=len(head), place=at)
            plain += shards
        for file in plain:
            self.holds(file, ((0, file.size),) if file.size else ())
        self.tell(last=True)

    def tell(self, *, last: bool = False) -> None:
        """Write the report if it is due; called repeatedly, by one thread.

        It is due 0.25 seconds after the one before if there is news, else after one second. With
        `last`, write the final report, that of a complete model.
        """
        now = time.monotonic()
        with self._lock:
            held = {sha256: LocalCopy(**vars(each)) for sha256, each in self._held.items()}
        if not last and now < self._due - (SIGN_EVERY - NEWS_EVERY) * (held != self._said):
            return
        self._beat, self._due, self._said = self._beat + 1, now + SIGN_EVERY, held
        files = {sha256: vars(each) for sha256, each in held.items()}
        report = {"beat": self._beat, "fetch": os.getpid(), "last": last, "files": files}
        # That others cannot take from here is no reason to stop.
        with contextlib.suppress(OSError):
            text = json.dumps(report).encode() + b"\n"
            replace(self._complete if last else self._now, text, sync=last)
            (self._now if last else self._complete).unlink(missing_ok=True)


def is_published(spec: Spec, folder: Path) -> bool:
    """Return whether the folder has the complete model's report and all files that it names."""
    try:
        report: dict[str, Any] = json.loads(report_paths(folder, spec.files)[1].read_bytes())
        given = [sha256 for sha256, each in report["files"].items() if each["have"]]
        return all((folder / sha256).is_file() for sha256 in given)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def report_paths(folder: Path, files: Sequence[ListedFile]) -> tuple[Path, Path]:
    """Return the paths of the reports on an incomplete and on a complete model.

    Only one of them is kept.
    """
    name = listing_id(files)
    return folder / f"{name}.now", folder / f"{name}.json"


def listing_id(files: Sequence[ListedFile]) -> str:
    """Return 64 hex digits that are the same on every machine that wants the same content."""
    lines = sorted(f"{file.sha256} {file.size}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _link(target: Path, link: Path) -> None:
    temporary = link.with_name(f".{link.name}.{os.getpid()}.new")
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
