"""What is wanted, where it goes, and what all that goes there in one run shares."""

from __future__ import annotations

import threading
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import Protocol

from ..lib.content import nobody
from ..lib.durable import write_all
from ..lib.journal import Journal
from ..lib.progress import Progress
from ..lib.spec import File
from .source import Patience

SYNC_BYTES = 32 << 20
PIECE_BYTES = 32 << 20


@dataclass(frozen=True)
class Run:
    """What all transfers of one run share.

    `sync_bytes` is how much may be in place and not yet in the journal, `piece_bytes` how much one
    request asks for. `peers` are the names of sources that are other machines of the lab.
    """

    journal: Journal
    progress: Progress
    stop: threading.Event
    patience: Patience = field(default_factory=Patience)
    sync_bytes: int = SYNC_BYTES
    piece_bytes: int = PIECE_BYTES
    peers: frozenset[str] = frozenset()


@dataclass
class Target:
    """Where one file goes: `header`, its first bytes, nowhere; the rest to byte `place` of `fd`.

    `prefix` is what is at hand already, header included. `padding` zero bytes follow the content.
    `reached` hears how many bytes from `place` on have been hashed. `renew` reads the prefix again,
    last from the sources whose names it is given.
    """

    file: File
    fd: int
    place: int = 0
    header: bytes = b""
    prefix: bytes = b""
    padding: int = 0
    reached: Callable[[int], None] = nobody
    renew: Callable[[Set[str]], bytes] | None = None

    @property
    def key(self) -> str:
        """The name in the journal: this content at this place."""
        return f"{self.file.sha256} {self.place} {self.file.path}"

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """`data`, from byte `offset` of the file on, is in place."""
        write_all(self.fd, data, self.place + offset - len(self.header))


class Item(Protocol):
    """A file that is wanted; each method is called by one thread at a time."""

    file: File

    def begin(self) -> Target | None:
        """Where it goes; None: it is there already."""

    def finish(self) -> None:
        """It is proven."""

    def close(self) -> None:
        """No thread works on it any more."""
