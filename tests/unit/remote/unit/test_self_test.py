"""What the self-test of a unit waits for, and what is a failure at once."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from deploys.remote.unit import self_test


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers with what comes next of `answers`, the last of them again and again."""

    answers: list[tuple[int, object]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, told = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    monkeypatch.setattr(self_test, "_state", lambda unit: {"ActiveState": "active"})
    monkeypatch.setattr(self_test, "_LOOK_EVERY", 0.01)
    # An hour on a unit; what has to end at once here never comes to it.
    monkeypatch.setattr(self_test, "_last_word", lambda unit: "nothing")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever).start()
        yield {
            "unit": "llama-server@tiny.service",
            "task": "generate",
            "served": "tiny",
            "url": f"http://127.0.0.1:{server.server_port}",
        }
        server.shutdown()


ANSWER = {"choices": [{"message": {"content": "Hello"}}]}
LOADING = (503, {"error": {"message": "Loading model"}})


def test_what_loads_its_model_is_waited_for(service: dict[str, str]) -> None:
    Engine.answers = [LOADING, (200, {"choices": []}), LOADING, (200, ANSWER)]
    assert self_test._wait(service) is None


@pytest.mark.parametrize("status", [400, 422])
def test_a_question_that_is_refused_is_a_failure_at_once(
    service: dict[str, str], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(self_test, "_PATIENCE", 5.0)
    Engine.answers = [LOADING, (status, {"error": {"message": "no chat template"}})]
    said = self_test._wait(service)
    assert said and said.startswith("llama-server@tiny.service: it refuses a question")
    assert "no chat template" in said


@pytest.mark.parametrize(
    "statuses, said",
    [
        ([503, 429, 200], None),
        ([401], "it answers with 401"),
        ([503, 404, 200], "it answers with 404"),
    ],
)
def test_a_door_that_keeps_its_own_key_out_is_a_failure_at_once(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, statuses: list[int], said: str | None
) -> None:
    left = [*statuses]
    monkeypatch.setattr(self_test, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(self_test, "_DOOR", 5.0)
    monkeypatch.setattr(self_test.ssl, "create_default_context", lambda cafile: None)
    monkeypatch.setattr(self_test, "_status", lambda *_: left.pop(0) if len(left) > 1 else left[0])
    found = self_test._through_the_door({"certificate": "gateway.pem"}, [])
    assert (found is None) if said is None else (found is not None and said in found)
