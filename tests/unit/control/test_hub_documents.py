"""Documents and headers, read by the programs that ask a hub: one here and one for a machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploys.connection import programs
from deploys.control import hub_clients
from deploys.facts import listings
from deploys.remote.formats import gguf
from deploys.remote.hubs import documents
from tests.lab import tiny_model
from tests.lab.hub import Hub
from tests.lab.tiny_model import TEMPLATE, TinyModel

TEXTS = {"config.json": b'\xef\xbb\xbf{"a": "\xc3\xa9"}', "1_Pooling/config.json": b"\xff{}"}
MODEL = "modelrack-lab/tiny-qwen2-gguf"
SHARD = "tiny-qwen2-F16-00001-of-00003.gguf"
KINDS = pytest.mark.parametrize("kind", ["modelscope", "huggingface"])
PROGRAMS = pytest.mark.parametrize("program", [hub_clients, documents])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    # Some 15 MB, so that the header is a small part of it.
    assert tiny_model.publish(root, TinyModel(width=512, layers=6)) == MODEL
    for name, data in TEXTS.items():
        path = root / MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def hub(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    with Hub(root) as hub:
        yield hub


def _request(hub: Hub, kind: str, **more: Any) -> dict[str, Any]:
    listed = {entry.path: entry for entry in hub.entries(MODEL)}
    files = [
        {"path": path, "size": listed[path].size, "sha256": listed[path].sha256}
        for path in (*TEXTS, SHARD)
    ]
    return {
        "kind": kind,
        "endpoint": hub.url,
        "repository": MODEL,
        "revision": hub.commit(MODEL),
        "token": "",
        "texts": files[:-1],
        "heads": files[-1:],
        **more,
    }


@KINDS
def test_both_read_the_same(hub: Hub, kind: str) -> None:
    request = _request(hub, kind)
    here = hub_clients.answer(request)
    assert here == documents.answer(request)
    assert here["texts"] == {"config.json": '{"a": "é"}', "1_Pooling/config.json": "\ufffd{}"}
    head = here["heads"][SHARD]
    assert head["general.architecture"] == "qwen2"
    assert (head["qwen2.block_count"], head["split.count"]) == (6, 3)
    assert head["tokenizer.ggml.tokens"] == {"length": len(TinyModel().tokens)}
    assert head["tokenizer.chat_template"] == TEMPLATE


@KINDS
@PROGRAMS
def test_of_a_gguf_no_more_is_asked_for_than_a_header_can_be(
    hub: Hub, program: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, "LONGEST_HEAD", 100_000)
    request = _request(hub, kind, texts=[])
    assert set(program.answer(request)["heads"]) == {SHARD}
    assert [each.range for each in hub.requests] == ["bytes=0-99999"]
    # A server that does not know ranges is left when the header has been read.
    hub.faults.add("no_range")
    assert set(program.answer(request)["heads"]) == {SHARD}
    monkeypatch.setattr(gguf, "LONGEST_HEAD", 1000)
    assert "damaged" in program.answer(request)["problem"]


@KINDS
@PROGRAMS
def test_other_content_than_listed_is_a_problem(hub: Hub, program: Any, kind: str) -> None:
    request = _request(hub, kind, heads=[])
    request["texts"][0]["sha256"] = "0" * 64
    assert "other content of config.json than it lists" in program.answer(request)["problem"]
    longer = _request(hub, kind, heads=[])
    longer["texts"][0]["size"] += 1
    assert program.answer(longer)["status"] == 0


@KINDS
@PROGRAMS
@pytest.mark.parametrize("fault", ["page", "pointer", "corrupt", "truncate"])
def test_what_is_no_gguf_is_a_problem(hub: Hub, program: Any, kind: str, fault: str) -> None:
    hub.faults.add(fault, f"{MODEL}/*.gguf", at=2)
    answer = program.answer(_request(hub, kind, texts=[]))
    assert answer["status"] == 0
    assert "is not a GGUF" in answer["problem"] or "less of a file" in answer["problem"]


@KINDS
@PROGRAMS
def test_a_token_opens_a_gate_and_is_in_no_answer(hub: Hub, program: Any, kind: str) -> None:
    hub.gates[MODEL] = "secret-canary"
    for token, status in (("", 401), ("wrong-canary", 403)):
        for part in ("texts", "heads"):
            wrong = program.answer(_request(hub, kind, token=token, **{part: []}))
            assert wrong["status"] == status and "canary" not in json.dumps(wrong)
    right = program.answer(_request(hub, kind, token="secret-canary"))
    assert set(right["texts"]) == {*TEXTS} and "canary" not in json.dumps(right)


@KINDS
def test_the_program_for_a_machine_travels_in_one_command(hub: Hub, kind: str) -> None:
    command = listings.Listings().command(program="hubs.documents").get_raw_value()
    assert len(command) < 40_000
    request = _request(hub, kind)
    done = subprocess.run(
        ["sh", "-c", command],
        input=json.dumps([request]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert listings.Listings().process(done.stdout.splitlines()) == [documents.answer(request)]
    assert command == programs.inline("hubs.documents").get_raw_value()
