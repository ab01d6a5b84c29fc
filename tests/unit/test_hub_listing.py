"""A hub's listing becomes pins only where every file can be proven."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from deploys.facts import hub
from deploys.planning.plan import Source
from deploys.planning.refusal import Refusal
from tests.unit.plan_examples import model

DIGEST = "ab" * 32
SOURCES = [
    Source(kind="modelscope", endpoint="http://127.0.0.1:1", repository="o/r", revision="master"),
    Source(kind="huggingface", endpoint="http://127.0.0.1:2", repository="o/r", revision="main"),
]


def _file(path: str, sha256: str | None = DIGEST) -> dict[str, Any]:
    return {"path": path, "size": "7", "sha256": sha256}


def _answers(*answers: dict[str, Any] | str) -> Callable[..., Any]:
    """Listings in the order they are asked for; a string is the last line of a failure."""
    left = iter(answers)

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        answer = next(left)
        if isinstance(answer, str):
            return subprocess.CompletedProcess(command, 1, "", f"Traceback\n  line\n{answer}\n\n")
        return subprocess.CompletedProcess(command, 0, f"noise\n{json.dumps(answer)}\n", "")

    return run


def _selected(*files: dict[str, Any]) -> list[Any]:
    return list(hub._selected(model(files=("*.gguf",)), files))


def test_selected_files_are_sorted_and_the_rest_is_left() -> None:
    found = _selected(_file("b.gguf"), _file("README.md", None), _file("F16/a.gguf"))
    assert [(file.path, file.size, file.sha256) for file in found] == [
        ("F16/a.gguf", 7, DIGEST),
        ("b.gguf", 7, DIGEST),
    ]


def test_a_digest_in_capitals_is_the_same_digest() -> None:
    assert _selected(_file("a.gguf", DIGEST.upper()))[0].sha256 == DIGEST


@pytest.mark.parametrize(
    "path", ["../a.gguf", "/etc/a.gguf", "a/../../b.gguf", "a/..gguf/../x.gguf"]
)
def test_a_path_that_leads_out_of_the_folder_is_not_taken(path: str) -> None:
    with pytest.raises(hub._Unlisted, match="leads out of the model's folder"):
        _selected(_file(path))


@pytest.mark.parametrize("digest", [None, "", "ab" * 20])
def test_a_file_without_a_sha256_is_not_taken(digest: str | None) -> None:
    with pytest.raises(hub._Unlisted, match=r"no sha256 for a\.gguf"):
        _selected(_file("a.gguf", digest))


def test_a_digest_that_is_no_hex_number_is_not_taken() -> None:
    with pytest.raises(hub._Unlisted, match=r"no sha256 for a\.gguf"):
        _selected(_file("a.gguf", "z" * 64))


def test_the_first_hub_that_lists_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = {"revision": "c0ffee", "files": [_file("a.gguf")]}
    monkeypatch.setattr(subprocess, "run", _answers("ConnectionError: no way", listing))
    lock = hub.listed(model(), SOURCES)
    assert (lock.hub, lock.revision, lock.size) == ("huggingface", "c0ffee", 7)


def test_no_hub_is_a_refusal_with_the_reason_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {"revision": "c0ffee", "files": [_file("a.bin")]}
    monkeypatch.setattr(subprocess, "run", _answers("ConnectionError: no way", nothing))
    with pytest.raises(Refusal) as refusal:
        hub.listed(model(), SOURCES)
    assert "modelscope (http://127.0.0.1:1): ConnectionError: no way" in refusal.value.reason
    assert "none of its files matches *.gguf" in refusal.value.reason


def test_a_hub_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(Refusal, match="no listing within 180 seconds"):
        hub.listed(model(), SOURCES)
