"""The programs that ask a hub, one here and one for a machine: same questions, same answers."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploys.connection import programs
from deploys.control import hub as asking
from deploys.control import hub_clients
from deploys.facts import listings
from deploys.remote.hubs import listing
from tests.lab.http_server import Reply
from tests.lab.hub import Hub

MODEL = "maker/small"
FILES = {
    "config.json": b"{}",
    "deep/er/tokenizer.json": b"[1]",
    "a name with + and spaces.json": b"[]",
    "model.safetensors": b"m" * 3000,
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    for name, data in FILES.items():
        path = tmp_path / "hub" / MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with Hub(tmp_path / "hub") as hub:
        yield hub


def _request(hub: Hub, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "endpoint": hub.url,
        "repository": MODEL,
        "revision": "master" if kind == "modelscope" else "main",
        "patterns": ["*.json", "*.safetensors"],
        "token": "",
        "small": 1 << 20,
        **more,
    }


def _by_path(answer: dict[str, Any]) -> dict[str, str]:
    return {file["path"]: file["sha256"] for file in answer["files"]}


@pytest.mark.parametrize("kind", ["modelscope", "huggingface"])
@pytest.mark.parametrize("fault", ["", "no_sha256"])
def test_both_list_the_same(hub: Hub, kind: str, fault: str) -> None:
    if fault:
        hub.faults.add(fault)
    here = hub_clients.answer(_request(hub, kind))
    there = listing.answer(_request(hub, kind))
    assert here == there
    assert _by_path(here) == {
        path: hashlib.sha256(data).hexdigest() for path, data in FILES.items()
    }
    assert here["revision"] == hub.commit(MODEL)
    # At a commit, a branch is not asked for.
    hub.requests.clear()
    pinned = _request(hub, kind, revision=hub.commit(MODEL))
    assert listing.answer(pinned) == hub_clients.answer(pinned) == here
    assert not [request for request in hub.requests if ".git" in request.path]


@pytest.mark.parametrize("program", [hub_clients, listing])
def test_a_listing_in_pages_is_read_to_its_end(hub: Hub, program: Any) -> None:
    hub.page = 1
    assert set(_by_path(program.answer(_request(hub, "huggingface")))) == set(FILES)


@pytest.mark.parametrize("program", [hub_clients, listing])
@pytest.mark.parametrize("kind", ["modelscope", "huggingface"])
@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_refusal_has_its_status(hub: Hub, program: Any, kind: str, code: int) -> None:
    hub.faults.add("status", code=code)
    answer = program.answer(_request(hub, kind))
    assert answer["status"] == code and str(code) in answer["problem"]


@pytest.mark.parametrize("program", [hub_clients, listing])
@pytest.mark.parametrize("kind", ["modelscope", "huggingface"])
def test_a_token_opens_a_gate_and_is_in_no_answer(hub: Hub, program: Any, kind: str) -> None:
    hub.gates[MODEL] = "secret-canary"
    wrong = program.answer(_request(hub, kind, token="wrong-canary"))
    assert wrong["status"] == 403 and "canary" not in json.dumps(wrong)
    right = program.answer(_request(hub, kind, token="secret-canary"))
    assert right["revision"] == hub.commit(MODEL)
    assert "canary" not in json.dumps(right)


def test_a_token_does_not_follow_a_redirect(hub: Hub, tmp_path: Path) -> None:
    with Hub(tmp_path / "hub") as store:
        hub.faults.add(
            "redirect", f"{MODEL}/*.json", to=f"{store.url}/{MODEL}/resolve/main/config.json"
        )
        listing.answer(_request(hub, "huggingface", token="secret-canary"))
        assert hub.requests[0].authorized
        assert store.requests and not any(each.authorized for each in store.requests)


@pytest.mark.parametrize("kind", ["modelscope", "huggingface"])
@pytest.mark.parametrize(
    "body", [b"", b"<html>please log in</html>", b"[1]", b"{}", b'{"Data": 7, "sha": []}', b"null"]
)
def test_nonsense_is_a_problem_and_no_crash(hub: Hub, kind: str, body: bytes) -> None:
    with _Parrot(hub.root, body) as parrot:
        answer = listing.answer(_request(hub, kind, endpoint=parrot.url))
    assert answer["problem"] and answer["status"] == 0


class _Parrot(Hub):
    """Answers everything with the same bytes."""

    def __init__(self, root: Path, body: bytes) -> None:
        self.body = body
        super().__init__(root)

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        return Reply("", body=self.body)


@pytest.mark.parametrize("kind", ["modelscope", "huggingface"])
def test_nobody_at_home_is_a_problem_without_a_status(hub: Hub, kind: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    answer = listing.answer(_request(hub, kind, endpoint=nowhere))
    assert answer["status"] == 0 and "refused" in answer["problem"]


def test_the_program_here_runs_beside_this_one(hub: Hub) -> None:
    requests = [_request(hub, kind) for kind in ("modelscope", "huggingface")]
    assert asking._ask_here(requests) == [hub_clients.answer(request) for request in requests]


def test_a_program_that_dies_or_hangs_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def python(code: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)

    died = asking._result(python("raise OSError('no way')"))
    assert died == {"problem": "OSError: no way", "status": 0}
    monkeypatch.setattr(asking, "_PATIENCE", 0.2)
    hung = asking._result(python("import time; time.sleep(60)"))
    assert hung["problem"] == "no listing within 0.2 seconds"


def test_the_program_for_a_machine_travels_in_one_command(hub: Hub) -> None:
    requests = [_request(hub, kind, token="t") for kind in ("modelscope", "huggingface")]
    command = programs.inline("hubs.listing").get_raw_value()
    assert len(command) < 16_000
    done = subprocess.run(
        ["sh", "-c", command],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = listings.Listings().process(done.stdout.splitlines())
    assert [answer["revision"] for answer in answers] == [hub.commit(MODEL)] * 2
