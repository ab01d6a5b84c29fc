"""The stand-in for Ollama says no where Ollama would, or would only warn."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.lab.ollama import release, settings
from tests.lab.ollama.server import Server
from tests.lab.ollama.store import Store
from tests.unit.planning.engines.options import accepted

HOME = {"HOME": "/srv"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"OLLAMA_PORT": "11434"}, "Ollama knows no OLLAMA_PORT"),
        ({"OLLAMA_NUM_PARALLEL": "four"}, "OLLAMA_NUM_PARALLEL: 'four' is no number"),
        ({"OLLAMA_LOAD_TIMEOUT": "30 minutes"}, "OLLAMA_LOAD_TIMEOUT: .* is no duration"),
        ({"OLLAMA_KV_CACHE_TYPE": "fp8"}, "OLLAMA_KV_CACHE_TYPE: 'fp8' is no type of cache"),
        ({"OLLAMA_NOPRUNE": "yes"}, "OLLAMA_NOPRUNE: 'yes'"),
    ],
)
def test_a_setting_that_it_does_not_have(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings.read({**HOME, **given})


def test_it_knows_the_settings_that_are_recorded_of_ollama() -> None:
    recorded = {name for name in accepted("ollama", "0.35.0") if name.startswith("OLLAMA_")}
    assert set(settings.KNOWN) == recorded


def test_settings_are_read_as_go_reads_them() -> None:
    found = settings.read(
        {**HOME, "OLLAMA_KEEP_ALIVE": "1h30m", "OLLAMA_HOST": "127.0.0.1:8", "PATH": "/bin"}
    )
    assert (found.keep_alive, found.port, found.prune) == (5400, 8, True)
    assert found.models == Path("/srv/.ollama/models")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.start()
    store.create("tiny", store.add(b"weights"), {"num_ctx": 8})
    return store


@pytest.mark.parametrize("damage", ["size", "config", "manifest"])
def test_a_model_that_is_not_whole_is_not_listed(store: Store, damage: str) -> None:
    assert [each["name"] for each in store.tags()] == ["tiny:latest"]
    manifest = store.path("tiny")
    described = json.loads(manifest.read_bytes())
    layer = described["config" if damage == "config" else "layers"]
    layer = layer if damage == "config" else layer[0]
    blob = store.models / "blobs" / layer["digest"].replace(":", "-")
    if damage == "manifest":
        manifest.write_text("{")
    elif damage == "config":
        blob.write_bytes(blob.read_bytes()[::-1])
    else:
        blob.write_bytes(b"more than before")
    assert store.tags() == []


def test_it_lists_what_there_was_when_it_started(store: Store) -> None:
    with Server(store) as ollama:
        store.create("late", store.add(b"others"), {})
        with urllib.request.urlopen(f"{ollama.url}/v1/models") as answer:
            assert [each["id"] for each in json.load(answer)["data"]] == ["tiny:latest"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{ollama.url}/api/nothing")


@pytest.mark.skipif(
    not shutil.which("zstd") and os.environ.get("CI") != "true", reason="there is no zstd"
)
def test_it_is_packed_as_ollama_is_and_needs_nothing_but_python(tmp_path: Path) -> None:
    (tmp_path / "server").write_bytes(b"\x7fELF")
    made = release.publish(tmp_path, "0.35.0", {"llama-server": tmp_path / "server"})
    archive = tmp_path / "ollama/ollama/releases" / made.path
    assert archive.name == "ollama-linux-amd64.tar.zst"
    subprocess.run(["zstd", "-dq", archive, "-o", tmp_path / "tar"], check=True)
    with tarfile.open(tmp_path / "tar") as tar:
        names = tar.getnames()
        program = tar.extractfile("./bin/ollama").read()
    assert names == ["./bin/ollama", "./lib/ollama/llama-server"]
    (tmp_path / "ollama.pyz").write_bytes(program)
    said = subprocess.run(
        [sys.executable, "-I", "-S", tmp_path / "ollama.pyz", "--version"],
        **{"capture_output": True, "text": True, "check": True},
    )
    assert said.stdout == "ollama version is 0.35.0\n"
