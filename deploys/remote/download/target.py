"""The files to fetch, where each goes, and what all transfers of a run share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Protocol

from ..lib.content import no_callback
from ..lib.durable import write_all
from ..lib.journal import Journal
from ..lib.progress import Progress
from ..lib.spec import ListedFile
from .source import RetryPolicy

SYNC_BYTES = 32 << 20
PIECE_BYTES = 32 << 20


@dataclass(frozen=True)
class Run:
    """What all transfers of one run share.

    `sync_bytes` is how much may be in place and not yet in the journal, `piece_bytes` how much one
    request asks for. `peers` are the names of sources that are other machines of the site.
    """

    journal: Journal
    progress: Progress
    stop: threading.Event
    patience: RetryPolicy = field(default_factory=RetryPolicy)
    sync_bytes: int = SYNC_BYTES
    piece_bytes: int = PIECE_BYTES
    peers: frozenset[str] = frozenset()


@dataclass
class Target:
    """Where one file goes: what follows its `header` goes to byte `place` of `fd`.

    `header`, its first bytes, is not written. `prefix` is what has been read already, header
    included. `padding` zero bytes follow the content. `reached` is called with the number of bytes
    from `place` on that have been hashed. `renew` reads the prefix again, last from the sources
    whose names it is given.
    """

    file: ListedFile
    fd: int
    place: int = 0
    header: bytes = b""
    prefix: bytes = b""
    padding: int = 0
    reached: Callable[[int], None] = no_callback
    renew: Callable[[Set[str]], bytes] | None = None

    @property
    def key(self) -> str:
        """Key in the journal: this content at this place."""
        return f"{self.file.sha256} {self.place} {self.file.path}"

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write `data`, which begins at byte `offset` of the file, to its place."""
        write_all(self.fd, data, self.place + offset - len(self.header))


class Item(Protocol):
    """A file to fetch; each method is called by one thread at a time."""

    file: ListedFile

    def begin(self) -> Target | None:
        """Return where the file goes, or None if it is there already."""

    def finish(self) -> None:
        """Do what remains to be done once the file is verified."""

    def close(self) -> None:
        """Close the file; no thread works on it any more."""
