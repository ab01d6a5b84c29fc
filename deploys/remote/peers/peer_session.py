"""One fetch among those of the other machines: what it gives to them, and what it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from ..download.source import Patience, Source
from ..download.source_health import Standing
from ..download.transfer import Transfer
from ..lib.ranges import Range
from ..lib.spec import File, Sharing, Spec
from .peer_source import PeerSource
from .peers import Peer, Peers
from .seed import Share

# Streams from each other machine.
STREAMS = 2


class Exchange:
    """Ends when `stop` is set; what is here is given on all the same."""

    def __init__(self, spec: Spec, sharing: Sharing, stop: threading.Event) -> None:
        self._files = spec.files
        self._standings: list[Standing] = []
        self._peers = Peers(sharing, spec.files, stop)
        self.share = Share(spec, sharing.folder)
        self.share.tell()
        self._peers.watch()

    @property
    def names(self) -> frozenset[str]:
        """Of the sources that are other machines."""
        return frozenset(peer.name for peer in self._peers.all)

    def sources(self, patience: Patience) -> list[Source]:
        """The other machines, for one thread."""
        return [PeerSource(peer, self._files, patience) for peer in self._peers.all]

    def standings(self, others: Sequence[Standing]) -> list[Standing]:
        """Those of the other machines; of the `others`, hubs are asked for what no machine has."""
        hubs = [each for each in others if not each.local]
        for hub in hubs:
            hub.part = self._turn
        self._standings = [
            Standing(peer.name, STREAMS, part=_part(peer), peer=True) for peer in self._peers.all
        ]
        return self._standings

    def begin(self, news: Callable[[], None]) -> None:
        """`news` is called from now on when another machine has something new."""
        self._peers.news = news

    def tell(self, held: Iterable[tuple[File, Sequence[Range]]], came: int) -> None:
        """What is here now, and how many bytes have come."""
        for file, have in held:
            self.share.holds(file, have)
        self.share.tell()
        self._peers.came(came)

    def drop(self, name: str) -> None:
        """Nobody waits for what this machine would ask a hub for."""
        self._peers.drop(name)

    def _turn(self, transfer: Transfer, start: int, stop: int) -> Range | None:
        if transfer.evidence:
            return start, stop
        unable = {each.name for each in self._standings if not each.able(transfer)}
        return self._peers.turn(transfer.file, start, stop, unable)


def _part(peer: Peer) -> Callable[[Transfer, int, int], Range | None]:
    def part(transfer: Transfer, start: int, stop: int) -> Range | None:
        return None if transfer.evidence else peer.gives(transfer.file, start, stop)

    return part
