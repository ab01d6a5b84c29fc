"""A stream of a source, and the byte range that it has claimed."""

from __future__ import annotations

from dataclasses import dataclass

from .source_health import SourceHealth
from .transfer import Transfer


@dataclass(eq=False)
class Stream:
    """One of the `standing.streams` streams of a source; `rate` is in bytes per second."""

    standing: SourceHealth
    number: int
    rate: float = 0.0
    busy: bool = False


@dataclass(eq=False)
class Segment:
    """Bytes `position` to `stop` of a file, for one stream; another may take over the rest.

    `writing` bytes from `position` on are being written. `serial`: nothing is reserved, the source
    sends the whole file and what is missing of it is used.
    """

    transfer: Transfer
    standing: SourceHealth
    position: int
    stop: int
    began: float
    serial: bool = False
    writing: int = 0
    came: int = 0

    @property
    def rest(self) -> int:
        """Where the part begins that another stream may take over."""
        return self.position + self.writing

    def leave(self) -> None:
        """Release the rest to other streams."""
        if not self.serial:
            self.transfer.release(self.rest, self.stop)
            self.stop = self.rest
