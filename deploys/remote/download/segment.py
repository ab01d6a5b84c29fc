"""A stream of content, and the bytes that it is at."""

from __future__ import annotations

from dataclasses import dataclass

from .source_health import Standing
from .transfer import Transfer


@dataclass(eq=False)
class Stream:
    """One at a time of the `standing.streams` streams; `rate` is what it had, in bytes a second."""

    standing: Standing
    number: int
    rate: float = 0.0
    busy: bool = False


@dataclass(eq=False)
class Claim:
    """Bytes `position` to `stop` of a file, for one stream; another may take the rest.

    `writing` bytes from `position` on are being written. `serial`: nothing is reserved, the source
    sends the whole file and what is missing of it is used.
    """

    transfer: Transfer
    standing: Standing
    position: int
    stop: int
    began: float
    serial: bool = False
    writing: int = 0
    came: int = 0

    @property
    def rest(self) -> int:
        """Where that begins which another may take."""
        return self.position + self.writing

    def leave(self) -> None:
        """Anybody may take the rest."""
        if not self.serial:
            self.transfer.release(self.rest, self.stop)
            self.stop = self.rest
