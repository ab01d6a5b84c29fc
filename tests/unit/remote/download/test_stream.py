"""Parts of a file in order, from one source over one session."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.download import stream
from deploys.remote.download.source import open_source
from deploys.remote.lib.spec import SourceSpec
from tests.lab.hub import Hub
from tests.unit.remote.hub_fetch import FILES, QUICK, hubs, source

BIG = FILES["big.bin"]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A host for each connection that is made."""
    made: list[str] = []
    connect = http.client.HTTPConnection.connect

    def counted(self: Any) -> None:
        made.append(self.host)
        connect(self)

    monkeypatch.setattr(http.client.HTTPConnection, "connect", counted)
    return made


def beginnings(hub: Hub) -> list[bytes]:
    """Five ranges of the file, as headers of shards are read."""
    place, stop = open_source(SourceSpec(**source(hub)), QUICK), threading.Event()
    found = []
    for end in range(1000, 6000, 1000):
        data = bytearray()
        for offset, piece in stream.stream(
            place, "big.bin", end - 1000, len(BIG), patience=QUICK, stop=stop, end=end
        ):
            if offset == 0:
                data.clear()
            data.extend(piece)
        found.append(bytes(data))
    return found


def test_ranges_that_are_read_to_their_end_share_a_connection(
    tmp_path: Path, connected: list[str]
) -> None:
    with hubs(tmp_path) as (hub,):
        assert beginnings(hub) == [BIG[end - 1000 : end] for end in range(1000, 6000, 1000)]
    assert len(connected) == 1


def test_a_source_without_ranges_is_read_no_further_than_to_the_end(tmp_path: Path) -> None:
    with hubs(tmp_path) as (hub,):
        hub.faults.add("no_range")
        assert beginnings(hub) == [BIG[:end] for end in range(1000, 6000, 1000)]
