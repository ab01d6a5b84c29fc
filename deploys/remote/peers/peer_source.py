"""Another machine of the site as a source."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Mapping, Sequence

from ..download.http import Body, Session
from ..download.source import RetryPolicy
from ..lib.failure import SourceFailure
from ..lib.spec import ListedFile
from .peers import LIFE, Peer


class PeerSource:
    """The content that one machine offers, over the connections of one thread."""

    def __init__(self, peer: Peer, files: Sequence[ListedFile], patience: RetryPolicy) -> None:
        self.name = peer.name
        self._peer = peer
        self._files: Mapping[str, ListedFile] = {file.path: file for file in files}
        self._session = Session(timeout=min(patience.silence, LIFE))

    def open(self, path: str, start: int, end: int | None) -> Body:
        file = self._files[path]
        stop = file.size if end is None else end
        offer = self._peer.offers.get(file.sha256)
        if offer is None:
            raise SourceFailure(f"{self.name} does not have it now")
        parts = []
        if start < offer.head:
            parts.append((f"{file.sha256}.head", start, min(stop, offer.head)))
        if stop > offer.head:
            shift = offer.place - offer.head
            parts.append((file.sha256, max(start, offer.head) + shift, stop + shift))
        return Body(start, stop, file.size, self._chunks(parts))

    def _chunks(self, parts: Sequence[tuple[str, int, int]]) -> Generator[bytes, None, None]:
        for name, start, stop in parts:
            with contextlib.closing(self._session.get(f"{self.name}/{name}", start, stop)) as body:
                if body.start != start:
                    raise SourceFailure(f"{self.name} gives other bytes than asked for")
                yield from _first(body.chunks, stop - start)


def _first(chunks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for data in chunks:
        yield data[:count]
        count -= len(data)
        if count <= 0:
            return
