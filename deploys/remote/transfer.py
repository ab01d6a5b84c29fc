"""One listed file, from a source to its place: hashed as it comes, written once, proven."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .content import update_from
from .durable import write_all
from .failure import Failure, SourceFailure, Stopped
from .journal import Entry, Journal
from .progress import Progress
from .source import Patience, Source, stream
from .spec import File

ATTEMPTS = 3
SYNC_BYTES = 32 << 20
SYNC_SECONDS = 1.0


@dataclass(frozen=True)
class Run:
    """What all transfers of one run share."""

    journal: Journal
    progress: Progress
    stop: threading.Event
    patience: Patience = field(default_factory=Patience)
    sync_bytes: int = SYNC_BYTES


def _nobody(size: int) -> None:
    return None


@dataclass
class Target:
    """Where one file goes: `header`, its first bytes, nowhere; the rest to byte `place` of `fd`.

    `prefix` is what is at hand already, header included. `padding` zero bytes follow the content.
    `reached` hears how many bytes from `place` on are there. `renew` reads the prefix again, from
    the first source that has it.
    """

    file: File
    fd: int
    place: int = 0
    header: bytes = b""
    prefix: bytes = b""
    padding: int = 0
    reached: Callable[[int], None] = _nobody
    renew: Callable[[Sequence[Source]], bytes] | None = None

    @property
    def key(self) -> str:
        """The name in the journal: this content at this place."""
        return f"{self.file.sha256} {self.place} {self.file.path}"


def transfer(run: Run, target: Target, sources: Sequence[Source]) -> None:
    """The file is in place, synced, with the listed digest; else Failure.

    Content with a wrong digest is fetched again, from the other source first if there is one.
    """
    file = target.file
    for attempt in range(ATTEMPTS):
        turn = attempt % len(sources)
        order = [*sources[turn:], *sources[:turn]]
        if attempt and target.renew:
            target.prefix = target.renew(order)
        landing = _Landing(run, target)
        used = landing.pull(order)
        if landing.found == file.sha256:
            landing.prove()
            return
        landing.discard()
        print(
            f"{file.path}: wrong content from {used}, attempt {attempt + 1} of {ATTEMPTS}",
            flush=True,
        )
    raise Failure(
        f"{file.path}: sha256 expected {file.sha256}, found {landing.found} from {used}, "
        f"{ATTEMPTS} attempts: "
        "its data was deleted; resolve the listing again or use another source"
    )


class _Landing:
    """The bytes of one attempt; `position` counts from the start of the file."""

    def __init__(self, run: Run, target: Target) -> None:
        self._run, self._target = run, target
        self._begin()
        self._counted = 0
        self._synced = 0
        self._sync_due = time.monotonic() + SYNC_SECONDS
        self._resume(run.journal.get(target.key).at)

    @property
    def found(self) -> str:
        return self._digest.hexdigest()

    def pull(self, sources: Sequence[Source]) -> str:
        """All bytes are in place; returns the names of the sources that gave some."""
        file, run = self._target.file, self._run
        used: list[str] = []
        troubles: list[str] = []
        for source in sources:
            try:
                for offset, data in stream(
                    source,
                    file.path,
                    self.position,
                    file.size,
                    patience=run.patience,
                    stop=run.stop,
                ):
                    if source.name not in used:
                        used.append(source.name)
                    if run.stop.is_set():
                        self.sync()
                        raise Stopped
                    self.take(offset, data)
                return " and ".join(used) or "what was on disk"
            except SourceFailure as trouble:
                troubles.append(f"{source.name}: {trouble}")
        self.sync()
        raise Failure(f"{file.path}: " + "; ".join(troubles))

    def take(self, offset: int, data: bytes) -> None:
        """`data` from byte `offset` of the file is in place; an earlier offset begins anew."""
        if offset < self.position:
            # The header counts as planned, not as it comes: the digest is over what is used.
            self._begin()
        data = data[max(0, self.position - offset) :]
        if data:
            target = self._target
            write_all(target.fd, data, target.place + self.position - len(target.header))
            self._digest.update(data)
            self.position += len(data)
        self._count()
        grown = self.position - self._synced
        if grown >= self._run.sync_bytes or (grown and time.monotonic() >= self._sync_due):
            self.sync()

    def sync(self) -> None:
        """What is in place is on disk, and the journal says so."""
        os.fdatasync(self._target.fd)
        self._synced = self.position
        self._sync_due = time.monotonic() + SYNC_SECONDS
        self._run.journal.put(self._target.key, Entry(self.position))
        self._target.reached(self.position - len(self._target.header))

    def prove(self) -> None:
        target = self._target
        size = target.file.size - len(target.header)
        if target.padding:
            write_all(target.fd, bytes(target.padding), target.place + max(0, size))
        os.fdatasync(target.fd)
        self._run.journal.put(target.key, Entry(target.file.size, proven=True))
        target.reached(max(0, size) + target.padding)

    def discard(self) -> None:
        self._run.journal.forget(self._target.key)
        self._target.reached(0)
        self._run.progress.add(-self._counted)

    def _begin(self) -> None:
        header = self._target.header[: self._target.file.size]
        self._digest = hashlib.sha256(header)
        self.position = len(header)

    def _resume(self, at: int) -> None:
        target = self._target
        if self.position < at <= target.file.size:
            try:
                start = target.place - len(target.header)
                update_from(self._digest, target.fd, start + self.position, start + at)
                self.position = self._synced = at
                target.reached(at - len(target.header))
            except EOFError:
                self._begin()
        if self.position < len(target.prefix):
            self.take(0, target.prefix)
        self._count()

    def _count(self) -> None:
        self._run.progress.add(self.position - self._counted)
        self._counted = self.position
