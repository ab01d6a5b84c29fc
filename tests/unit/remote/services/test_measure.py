"""What is asked of a started server, against servers that answer as each engine does."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploys.connection import programs

# As llama-server and vLLM 0.32 list it; SGLang 0.5.23 and Ollama 0.33 by their sources.
MODELS: dict[str, dict[str, Any]] = {
    "llama.cpp": {"id": "r1", "owned_by": "llamacpp", "meta": {"n_ctx": 4096, "n_ctx_train": 9999}},
    "vllm": {"id": "r1", "owned_by": "vllm", "max_model_len": 4096},
    "sglang": {"id": "r1", "owned_by": "sglang", "max_model_len": 4096},
    "ollama": {"id": "r1:latest", "owned_by": "library"},
}


@dataclass
class Server:
    """One model server, and what was asked of it.

    + words: name of the field that it answers in
    + pace: seconds between two tokens; + ends: tokens after which the model ends, whatever is asked
    + drawn: how it draws answers, by its own names
    + counts: it says with every piece how many tokens there are, `at_once` of them in a piece
    """

    engine: str = "llama.cpp"
    words: str = "content"
    pace: float = 0.0
    ends: int = 10**6
    counts: bool = False
    at_once: int = 1
    cache: int = 9999
    loaded: int = 4096
    drawn: dict[str, Any] = field(default_factory=dict)
    refusal: dict[str, Any] | None = None
    status: int = 400
    embedding: Callable[[str], list[float | None]] = lambda text: [float(len(text)), 0.5, 1.0]
    score: Callable[[str], float] = len
    forgets: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""


def read(server: Server, asked: dict[str, Any]) -> dict[str, Any]:
    """Vectors or scores of the texts, as llama-server and vLLM have them, but for some forgotten.

    A letter is a token.
    """
    texts = asked.get("input") or asked["documents"]
    tokens = sum(map(len, texts))
    time.sleep(server.pace * tokens)
    kept = list(enumerate(texts))[server.forgets :]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    if "input" in asked:
        data = [{"index": at, "embedding": server.embedding(text)} for at, text in kept]
        # The order is not said.
        return {"model": "r1", "usage": usage, "data": data[::-1]}
    results = [{"index": at, "relevance_score": server.score(text)} for at, text in kept]
    return {"model": "r1", "usage": usage, "results": results}


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            answers = {
                "/v1/models": {"data": [MODELS[server.engine]]},
                "/server_info": {"max_total_num_tokens": server.cache},
                "/props": {"default_generation_settings": {"params": server.drawn}},
                "/api/ps": {"models": [{"name": "r1:latest", "context_length": server.loaded}]},
            }
            self._answer(200, answers[self.path])

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append(asked)
            if self.path == "/api/show":
                lines = [f"{name:30} {value}" for name, value in server.drawn.items()]
                self._answer(200, {"parameters": "\n".join(['stop    "a b"', *lines])})
            elif server.refusal is not None:
                self._answer(server.status, server.refusal)
            elif self.path in ("/v1/embeddings", "/v1/rerank"):
                self._answer(200, read(server, asked))
            elif asked.get("stream"):
                self._stream(asked)
            else:
                self._answer(200, {"choices": [{"message": {server.words: "Hi"}}]})

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, asked: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            total = min(asked["max_tokens"], server.ends)
            self._piece({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
            for made in range(server.at_once, total + 1, server.at_once):
                time.sleep(server.pace * server.at_once)
                piece: dict[str, Any] = {"choices": [{"delta": {server.words: "word "}}]}
                if server.counts:
                    piece["usage"] = {"completion_tokens": made}
                self._piece(piece)
            self._piece({"choices": [], "usage": {"completion_tokens": total}})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

        def _piece(self, piece: dict[str, Any]) -> None:
            self._chunk(b"data: " + json.dumps(piece).encode() + b"\n\n")

        def _chunk(self, data: bytes) -> None:
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
            except ConnectionError:
                self.close_connection = True

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()


def _run(program: str, question: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", programs.inline(program).get_raw_value()],
        input=json.dumps(question),
        **{"capture_output": True, "text": True, "timeout": 120},
    )


Measured = Callable[..., tuple[dict[str, Any], Server]]


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """The figures of a server, which are in the file, too."""

    def measure(
        floor: float | None = None, task: str = "generate", **like: Any
    ) -> tuple[dict[str, Any], Server]:
        with serving(Server(**like)) as server:
            file = tmp_path / "services" / "r1.json"
            wanted = {
                "url": server.url,
                "model": MODELS[server.engine]["id"],
                "context": 4096,
                "floor": floor,
                "task": task,
            }
            run = _run("services.measure", {**wanted, "digest": "0123", "file": str(file)})
            assert run.returncode == 0, run.stderr
            figures: dict[str, Any] = json.loads(run.stdout)
            assert json.loads(file.read_text()) == figures
            return figures, server

    return measure


def test_the_pace_of_the_tokens_is_measured(measured: Measured) -> None:
    figures, server = measured(pace=0.05)
    assert 3 < figures["tokens_per_second"] < 25
    assert figures["tokens"] < 256, "it gives up after some seconds"
    assert figures["first_token_ms"] >= 50
    assert (figures["digest"], figures["context"]) == ("0123", 4096)
    assert figures["at"].endswith("+00:00")
    asked = server.asked[0]
    assert (asked["ignore_eos"], asked["temperature"], asked["max_tokens"]) == (True, 0, 256)


def test_pieces_of_several_tokens_are_counted_by_the_server(measured: Measured) -> None:
    figures, _ = measured(engine="vllm", words="reasoning", pace=0.005, counts=True, at_once=4)
    assert 60 < figures["tokens_per_second"] < 250
    assert figures["tokens"] == 256


def test_a_model_that_ends_by_itself_is_measured_as_far_as_it_came(measured: Measured) -> None:
    figures, _ = measured(engine="ollama", pace=0.1, ends=5)
    assert figures["tokens"] == 5
    assert 1 < figures["tokens_per_second"] < 30


def test_one_token_alone_counts_with_the_time_it_took(measured: Measured) -> None:
    figures, _ = measured(pace=0.1, ends=1)
    assert 1 < figures["tokens_per_second"] < 30


def test_what_is_below_its_floor_is_asked_again(measured: Measured) -> None:
    _, slow = measured(floor=1e9, ends=20)
    assert len(slow.asked) == 3
    _, fast = measured(floor=1, ends=20)
    assert len(fast.asked) == 1


def test_what_cannot_be_measured_says_why(tmp_path: Path) -> None:
    with serving(Server(refusal={"error": {"message": "no chat template"}})) as server:
        wanted = {
            "url": server.url,
            "model": "r1",
            "context": 4096,
            "floor": None,
            "task": "generate",
        }
        run = _run("services.measure", {**wanted, "digest": "", "file": str(tmp_path / "r1.json")})
    assert (run.returncode, run.stderr) == (1, "HTTP status 400: no chat template\n")
    assert not (tmp_path / "r1.json").exists()


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, bool]]:
    """What the program about units says of one that is active and answers like this."""
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        '#!/bin/sh\ncase "$*" in *InvocationID*) echo a1b2;; *) echo ActiveState=active;; esac\n'
    )
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(
        f'#!/bin/sh\ncase "$*" in *_SYSTEMD_INVOCATION_ID=a1b2*) cat {tmp_path}/log;; esac\n'
    )
    for program in (systemctl, journalctl):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def ask(
        context: int = 4096,
        model: str | None = None,
        sampling: dict[str, float] | None = None,
        task: str = "generate",
        vector: int | None = None,
        log: str = "",
        **like: Any,
    ) -> tuple[str, bool]:
        (tmp_path / "log").write_text(log)
        with serving(Server(**like)) as server:
            model = model or MODELS[server.engine]["id"]
            unit = {"unit": "a", "url": server.url, "model": model, "context": context}
            asked = {"ask": task, "vector": vector} | ({"sampling": sampling} if sampling else {})
            run = _run("services.units", [{**unit, "files": [], "measured": "/none", **asked}])
        assert run.returncode == 0, run.stderr
        state = json.loads(run.stdout)["a"]
        return state["answer"], state["wrong"]

    return ask


@pytest.mark.parametrize("engine", MODELS)
def test_the_context_that_a_server_gives_is_held_against_the_plan(
    engine: str, answer: Callable[..., tuple[str, bool]]
) -> None:
    assert answer(engine=engine) == ("ok", False)
    assert answer(engine=engine, context=4097) == (
        "a request may take 4096 tokens instead of 4097",
        True,
    )


def test_a_cache_that_is_smaller_than_the_context_is_noticed(
    answer: Callable[..., tuple[str, bool]],
) -> None:
    assert answer(engine="sglang", cache=1000) == (
        "a request may take 1000 tokens instead of 4096",
        True,
    )


DRAWN = {"temperature": 0.6000000238418579, "top_k": 20, "repeat_penalty": 1.05, "min_p": 0.0}


@pytest.mark.parametrize("engine", ["llama.cpp", "ollama"])
@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        ({"temperature": 0.6, "top_k": 20, "repetition_penalty": 1.05, "min_p": 0}, None),
        ({"temperature": 0.7}, "it draws answers with temperature 0.6 instead of 0.7"),
        ({"top_p": 0.95}, "it draws answers with no top_p instead of 0.95"),
        ({"repetition_penalty": 1}, "it draws answers with repetition_penalty 1.05 instead of 1"),
    ],
)
def test_how_answers_are_drawn_is_held_against_the_plan(
    engine: str,
    wanted: dict[str, float],
    wrong: str | None,
    answer: Callable[..., tuple[str, bool]],
) -> None:
    found = answer(engine=engine, sampling=wanted, drawn=DRAWN)
    assert found == (wrong or "ok", wrong is not None)


# As they write it, between other lines.
LOGS = {
    "vllm": "(APIServer pid=7) WARNING 01-02 20:00:00 [model.py:1893] Default vLLM sampling"
    " parameters have been overridden by the model's `generation_config.json`:"
    " `{{'temperature': {}, 'top_k': 20}}`. If this is not intended, please relaunch.",
    "sglang": "[2026-01-02 20:00:00] Using default chat sampling params from model generation"
    " config: {{'temperature': {}, 'top_k': 20}}",
}


@pytest.mark.parametrize("engine", LOGS)
def test_what_a_server_logs_of_how_it_draws_is_held_against_the_plan(
    engine: str, answer: Callable[..., tuple[str, bool]]
) -> None:
    def found(temperature: str) -> tuple[str, bool]:
        log = f"loading\n{LOGS[engine].format(temperature)}\nready\n"
        return answer(engine=engine, sampling={"temperature": 0.6, "top_k": 20}, log=log)

    assert found("0.6") == ("ok", False)
    assert found("1.0") == ("it draws answers with temperature 1 instead of 0.6", True)
    assert found("None") == ("ok", False)  # No number, so nothing that could be compared.


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_server_that_does_not_say_how_it_draws_is_believed(
    engine: str, answer: Callable[..., tuple[str, bool]]
) -> None:
    assert answer(engine=engine, sampling={"temperature": 0.7}) == ("ok", False)


@pytest.mark.parametrize("words", ["content", "reasoning", "reasoning_content"])
def test_reasoning_is_an_answer(words: str, answer: Callable[..., tuple[str, bool]]) -> None:
    assert answer(words=words) == ("ok", False)
    assert answer(words="else") == ("it answers a question with nothing", True)


def test_another_model_is_not_waited_for(answer: Callable[..., tuple[str, bool]]) -> None:
    assert answer(model="v3") == ("it serves r1 instead of v3", True)


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": {"message": "loading\n model"}},
        {"error": "loading model"},
        {"message": "loading model"},
    ],
)
def test_a_refusal_is_told(
    refusal: dict[str, Any], answer: Callable[..., tuple[str, bool]]
) -> None:
    told = "it refuses a question: HTTP status 400: loading model"
    assert answer(refusal=refusal) == (told, True)
    # This may pass.
    told = "no answer: HTTP status 503: loading model"
    assert answer(refusal=refusal, status=503) == (told, False)


@pytest.mark.parametrize("task", ["embed", "rerank"])
def test_of_texts_that_are_read_the_pace_is_that_of_many_at_once(
    task: str, measured: Measured
) -> None:
    figures, server = measured(task=task, pace=2e-6)
    assert 1e4 < figures["tokens_per_second"] < 5e5
    # More and more of them, until they take a second; one alone first.
    counts = [len(asked.get("input") or asked["documents"]) for asked in server.asked]
    assert counts == [1, 1, 4, 16, 64]
    assert figures["tokens"] == 64 * 2048
    last = server.asked[-1].get("input") or server.asked[-1]["documents"]
    assert len({text[:20] for text in last}) == 64, "a server might remember what began alike"


def test_a_slow_reader_is_measured_by_one_text(measured: Measured) -> None:
    figures, server = measured(task="embed", pace=1e-3)
    assert [len(asked["input"]) for asked in server.asked] == [1, 1]
    assert 50 < figures["tokens_per_second"] < 1100


GATE: dict[str, tuple[dict[str, Any], str]] = {
    "vectors": ({"task": "embed", "vector": 3}, "ok"),
    "width": (
        {"task": "embed", "vector": 4},
        "its vectors have 3 numbers instead of 4",
    ),
    "nan": (
        {"task": "embed", "like": {"embedding": lambda text: [None, 1.0]}},
        "its vectors have numbers that are none",
    ),
    "same": (
        {"task": "embed", "like": {"embedding": lambda text: [1.0]}},
        "it returns the same vector for different texts",
    ),
    "one": ({"task": "embed", "like": {"forgets": 1}}, "it returns 1 vectors for 2 texts"),
    "scores": ({"task": "rerank"}, "ok"),
    "equal": (
        {"task": "rerank", "like": {"score": lambda text: 0.5}},
        "it gives different texts the same score",
    ),
    "infinite": (
        {"task": "rerank", "like": {"score": lambda text: float("inf")}},
        "its scores are no numbers",
    ),
    "fewer": ({"task": "rerank", "like": {"forgets": 1}}, "it returns scores of 1 texts instead"),
}


@pytest.mark.parametrize("name", GATE)
def test_each_task_is_asked_its_own_question(
    name: str, answer: Callable[..., tuple[str, bool]]
) -> None:
    given, said = GATE[name]
    asked = {key: value for key, value in given.items() if key != "like"}
    found, wrong = answer(**asked, **given.get("like", {}))
    assert found.startswith(said)
    assert wrong is (said != "ok")


def test_a_chat_model_behind_an_embedding_service_is_told_of(
    answer: Callable[..., tuple[str, bool]],
) -> None:
    refusal = {"error": {"message": "Start it with `--embeddings`"}}
    found, _ = answer(task="embed", refusal=refusal, status=501)
    assert found == "no answer: HTTP status 501: Start it with `--embeddings`"
