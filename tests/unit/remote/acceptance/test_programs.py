"""What an acceptance's programs read on a machine."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.acceptance import cards, disk, limits, load, look
from deploys.remote.gateway.workers import Master, Unanswered, Worker
from deploys.remote.services.model_server import ModelServer, RequestFailed

FIELDS = ["pci.bus_id", "index", "clocks.sm", "temperature.memory", "serial"]


def test_a_card_is_known_by_its_address_and_what_it_has_not_got_is_none() -> None:
    text = (
        "00000000:41:00.0, 0, 1410, 55, 1320000000041, Active\n"
        "00000000:C1:00.0, 1, 405, N/A, [N/A], Not Active\n"
        "Unable to determine the device handle for GPU1: unknown error\n"
    )
    found = cards.rows(text, (*FIELDS, "clocks_event_reasons.hw_slowdown"))
    assert list(found) == ["0000:41:00.0", "0000:c1:00.0"]
    first, second = found.values()
    assert (first["clock"], first["hw_slowdown"], first["serial"]) == (1410, True, "1320000000041")
    assert (second["memory_temperature"], second["serial"], second["hw_slowdown"]) == (
        None,
        None,
        False,
    )


def test_a_disk_is_measured_and_nothing_stays(tmp_path: Path) -> None:
    found = disk.measured(str(tmp_path), 8 << 20)
    assert found["error"] == "" and found["read"] > 0 and found["write"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_says_so(tmp_path: Path) -> None:
    assert "are free" in disk.measured(str(tmp_path), 1 << 60)["error"]
    assert disk.measured(str(tmp_path / "none"), 1)["error"] == "No such file or directory"


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("0100007F", True),
        ("0200007F", True),
        ("00000000", False),
        ("0100000A", False),
        ("00000000000000000000000001000000", True),
        ("0000000000000000FFFF00000100007F", True),
        ("00000000000000000000000000000000", False),
    ],
)
def test_an_address_of_the_kernels_table(address: str, loopback: bool) -> None:
    assert look._is_loopback(address) is loopback


def test_what_the_gateway_lets_each_user_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = {
        "keys.map": {"aa": "alice", "bb": "bob"},
        "rates.map": {"bob": "1000"},
        "at-once.map": {},
    }
    monkeypatch.setattr(Master, "workers", lambda self: [Worker("1", False)])
    monkeypatch.setattr(Master, "map", lambda self, worker, path: maps[Path(path).name])
    rule = f"set-var(txn.rate) var(txn.user),map_str_int({tmp_path}/rates.map,60)\n"
    (tmp_path / "haproxy.cfg").write_text(rule)
    found = limits.seen("socket", str(tmp_path))
    # Nothing says how many at once: whoever took that rule away took the limit.
    assert found == {"users": {"alice": [60, None], "bob": [1000, None]}, "error": ""}


def test_a_gateway_that_does_not_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Master, "workers", lambda self: [])
    assert limits.seen("socket", "/etc")["error"] == "it does not run"
    with pytest.raises(Unanswered):
        Master("/nowhere").map(Worker("1", False), "x")


class _Server(ModelServer):
    """Answers every other question."""

    asked = 0

    def __init__(self, url: str, timeout: float = 0) -> None:
        pass

    def stream(self, model: str, question: str, tokens: int) -> Any:
        type(self).asked += 1
        if self.asked % 2:
            yield "word", 7
        else:
            raise RequestFailed("HTTP status 500")

    def close(self) -> None:
        pass


def test_a_load_counts_what_was_not_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = {"url": "http://127.0.0.1:1", "served": "r1", "parallel": 2}
    told = json.dumps({"seconds": 1, "services": [service]})
    monkeypatch.setattr(load, "ModelServer", _Server)
    monkeypatch.setattr(load.cards, "seen", lambda: ([{"address": "a"}], ""))
    monkeypatch.setattr("sys.stdin", io.StringIO(told))
    assert load.main() == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] >= 1 and found["error"] == "HTTP status 500"
    assert found["asked"] > found["failed"] and found["tokens"] >= 7
    assert found["samples"][0]["cards"] == [{"address": "a"}]
