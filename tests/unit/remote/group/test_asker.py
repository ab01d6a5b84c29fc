"""A server that answers no question is broken, unless it is busy with those of others."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from deploys.remote.group.asker import Asker
from deploys.remote.group.settings import Question
from tests.unit.remote.group.nodes import wait


class Server:
    """A model server: `state` is whether it answers, is dumb, refuses, or is busy."""

    def __init__(self) -> None:
        self.state = "loading"
        self.asked = 0
        self.tokens = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                if outer.state == "busy":
                    outer.tokens += 7
                text = f'vllm:generation_tokens_total{{engine="0"}} {outer.tokens}.0\n'
                self._say(200, f"# TYPE x counter\n{text}python_gc_objects 3\n")

            def do_POST(self) -> None:
                outer.asked += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                while outer.state in ("dumb", "busy"):
                    time.sleep(0.05)
                if outer.state == "answers":
                    outer.tokens += 1
                    words = {"choices": [{"message": {"content": "miaow"}}]}
                    self._say(200, json.dumps(words))
                else:
                    self._say(500, '{"error": {"message": "EngineDeadError"}}')

            def _say(self, code: int, text: str) -> None:
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def asked_again(self) -> None:
        before = self.asked
        wait(lambda: self.asked >= before + 3, "nobody asks")

    def end(self) -> None:
        self.state = "over"
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.end()


@pytest.fixture
def asker(server: Server) -> Iterator[Asker]:
    made = Asker(Question(server.url, "tiny"), every=0.05, patience=0.5)
    made.start()
    yield made
    made.stop()
    made.join()


@pytest.mark.parametrize(("state", "said"), [("dumb", "timed out"), ("dead", "EngineDeadError")])
def test_who_has_answered_and_answers_no_more_is_broken(
    server: Server, asker: Asker, state: str, said: str
) -> None:
    server.asked_again()
    assert asker.broken is None
    server.state = "answers"
    server.asked_again()
    assert asker.broken is None
    server.state = state
    wait(lambda: asker.broken, "nobody notices")
    assert asker.broken and said in asker.broken


def test_who_is_busy_with_others_is_not_broken(server: Server, asker: Asker) -> None:
    server.state = "answers"
    server.asked_again()
    server.state = "busy"
    server.asked_again()
    assert asker.broken is None
    server.state = "dumb"
    wait(lambda: asker.broken, "nobody notices that it is no more")
