"""Models are asked for as soon as the server listens, and nobody waits for the answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.__main__ import main
from deploys.remote.ollama import load
from tests.lab.ollama.server import Server
from tests.lab.ollama.store import Store


class Runners:
    """Loads what it is asked for when it may, and a moment later, but for one model."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.may = threading.Event()
        self.may.set()

    def of(self, name: str, options: dict[str, Any]) -> None:
        self.may.wait(30)
        time.sleep(0.3)
        if name == "broken:latest":
            raise RuntimeError("llama-server ended with code 1")
        self.loaded.append(name)


@pytest.fixture
def runners() -> Runners:
    return Runners()


@pytest.fixture
def server(tmp_path: Path, runners: Runners) -> Server:
    Store(tmp_path).start()
    return Server(Store(tmp_path), runners)  # type: ignore[arg-type]


def test_all_are_loaded_one_after_the_other(server: Server, runners: Runners) -> None:
    with server:
        assert load.wait(server.url, ["a", "b"]) == 0
    assert runners.loaded == ["a:latest", "b:latest"]


def test_one_that_cannot_be_loaded_does_not_hold_up_the_others(
    server: Server, runners: Runners, capsys: pytest.CaptureFixture[str]
) -> None:
    with server:
        assert load.wait(server.url, ["broken", "b"]) == 1
    assert runners.loaded == ["b:latest"]
    assert "broken is not loaded: " in capsys.readouterr().out


def test_a_server_that_is_still_starting_is_waited_for(tmp_path: Path, runners: Runners) -> None:
    Store(tmp_path).start()
    first = Server(Store(tmp_path))
    url = first.url
    first._server.server_close()
    asking = threading.Thread(target=load.wait, args=(url, ["a"]))
    asking.start()
    time.sleep(0.3)
    port = int(url.rpartition(":")[2])
    with Server(Store(tmp_path), runners, ("127.0.0.1", port)):  # type: ignore[arg-type]
        asking.join(20)
    assert runners.loaded == ["a:latest"]


def test_a_server_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PATIENCE", 0.2)
    assert load.wait("http://127.0.0.1:1", ["a"]) == 1


def test_the_command_does_not_wait(server: Server, runners: Runners) -> None:
    with server:
        runners.may.clear()
        assert main(["ollama", "load", server.url, "a"]) == 0
        assert runners.loaded == []
        runners.may.set()
        deadline = time.monotonic() + 10
        while not runners.loaded and time.monotonic() < deadline:
            time.sleep(0.05)
    assert runners.loaded == ["a:latest"]


def test_what_writes_no_answers_is_loaded_by_vectors_of_no_texts(
    server: Server, runners: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = server.post

    def post(path: str, asked: dict[str, Any]) -> Any:
        if path == "/api/generate":
            raise ValueError(f"{asked['model']} does not support generate")
        assert path == "/api/embed" and "input" not in asked
        answer("/api/generate", asked)
        return {"model": asked["model"], "embeddings": []}

    monkeypatch.setattr(server, "post", post)
    with server:
        assert load.wait(server.url, ["a"]) == 0
    assert runners.loaded == ["a:latest"]
