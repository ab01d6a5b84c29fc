"""The exchange of one fetch with the other machines: what it shares, and what it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from ..download.source import RetryPolicy, Source
from ..download.source_health import SourceHealth
from ..download.transfer import Transfer
from ..lib.ranges import Range
from ..lib.spec import ListedFile, Sharing, Spec
from .peer_source import PeerSource
from .peers import Peer, Peers
from .seed import Share

# Streams from each other machine.
STREAMS = 2


class Exchange:
    """Sharing with the other machines during one fetch.

    It ends when `stop` is set; what is on this machine remains available to the others.
    """

    def __init__(self, spec: Spec, sharing: Sharing, stop: threading.Event) -> None:
        self._files = spec.files
        self._standings: list[SourceHealth] = []
        self._peers = Peers(sharing, spec.files, stop)
        self.share = Share(spec, sharing.folder)
        self.share.tell()
        self._peers.watch()

    @property
    def names(self) -> frozenset[str]:
        """Names of the sources that are other machines."""
        return frozenset(peer.name for peer in self._peers.all)

    def sources(self, patience: RetryPolicy) -> list[Source]:
        """Return the other machines as sources, for one thread."""
        return [PeerSource(peer, self._files, patience) for peer in self._peers.all]

    def standings(self, others: Sequence[SourceHealth]) -> list[SourceHealth]:
        """Return the standings of the other machines.

        From now on the hubs among `others` are asked only for what it is this machine's turn to
        request.
        """
        hubs = [each for each in others if not each.local]
        for hub in hubs:
            hub.part = self._turn
        self._standings = [
            SourceHealth(peer.name, STREAMS, part=_part(peer), peer=True)
            for peer in self._peers.all
        ]
        return self._standings

    def begin(self, news: Callable[[], None]) -> None:
        """Call `news` from now on when another machine has something new."""
        self._peers.news = news

    def tell(self, held: Iterable[tuple[ListedFile, Sequence[Range]]], came: int) -> None:
        """Report to the other machines what is on this one.

        + held: each file with the byte ranges that are here
        + came: number of bytes that have arrived so far
        """
        for file, have in held:
            self.share.holds(file, have)
        self.share.tell()
        self._peers.came(came)

    def drop(self, name: str) -> None:
        """Stop using a machine, and do not wait for what it would request from a hub."""
        self._peers.drop(name)

    def _turn(self, transfer: Transfer, start: int, stop: int) -> Range | None:
        if transfer.evidence:
            return start, stop
        unable = {each.name for each in self._standings if not each.able(transfer)}
        return self._peers.next_hub_range(transfer.file, start, stop, unable)


def _part(peer: Peer) -> Callable[[Transfer, int, int], Range | None]:
    def part(transfer: Transfer, start: int, stop: int) -> Range | None:
        return None if transfer.evidence else peer.gives(transfer.file, start, stop)

    return part
