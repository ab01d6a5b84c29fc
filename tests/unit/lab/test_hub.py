"""The stand-in hub serves the real clients, and each fault reaches them as it should."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.hub import Hub

MODEL = "maker/small"
FILES = {
    "README.md": b"# small\n",
    "config/settings.json": b"{}",
    "small-Q4_K_M-00001-of-00002.gguf": b"GGUF" + bytes(range(256)) * 400,
    "small-Q4_K_M-00002-of-00002.gguf": b"GGUF" + bytes(reversed(range(256))) * 300,
    "small-Q8_0.gguf": b"GGUF" + b"8" * 5000,
}
SHARD = "small-Q4_K_M-00001-of-00002.gguf"
CONTENT = FILES[SHARD]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    for name, data in FILES.items():
        path = tmp_path / "hub" / MODEL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with Hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def modelscope(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    return hub


def _url(hub: Hub, name: str = SHARD) -> str:
    return f"{hub.url}/api/v1/models/{MODEL}/repo?Revision=master&FilePath={name}"


def _get(url: str, **headers: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as reply:
        return reply.status, reply.read()


def _listing(hub: Hub) -> dict[str, dict[str, object]]:
    url = f"{hub.url}/api/v1/models/{MODEL}/repo/files?Recursive=true"
    files = json.loads(_get(url)[1])["Data"]["Files"]
    return {file["Path"]: file for file in files if file["Type"] == "blob"}


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    }


def _modelscope_download(hub: Hub, to: Path, patterns: list[str] | None = None) -> dict[str, bytes]:
    from modelscope.hub.snapshot_download import snapshot_download

    snapshot_download(MODEL, local_dir=str(to), allow_patterns=patterns, endpoint=hub.url)
    return _tree(to)


def test_modelscope_client_downloads_everything(modelscope: Hub, tmp_path: Path) -> None:
    assert _modelscope_download(modelscope, tmp_path / "all") == FILES


def test_modelscope_client_downloads_what_a_pattern_selects(
    modelscope: Hub, tmp_path: Path
) -> None:
    got = _modelscope_download(modelscope, tmp_path / "some", ["*Q4_K_M*"])
    assert sorted(got) == sorted(name for name in FILES if "Q4_K_M" in name)


def test_modelscope_client_follows_a_redirect_and_retries_a_corrupt_file(
    modelscope: Hub, tmp_path: Path
) -> None:
    modelscope.faults.add("redirect", "*.gguf")
    corrupt = modelscope.faults.add("corrupt", f"*/{SHARD}", count=1)
    assert _modelscope_download(modelscope, tmp_path / "all") == FILES
    assert corrupt.happened == 1


def test_modelscope_client_gives_up_on_a_wrong_sha256(modelscope: Hub, tmp_path: Path) -> None:
    modelscope.faults.add("wrong_sha256", f"*/{SHARD}")
    with pytest.raises(Exception, match=SHARD):
        _modelscope_download(modelscope, tmp_path / "all")


def test_hugging_face_client_downloads_everything(hub: Hub, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    to = tmp_path / "all"
    snapshot_download(MODEL, local_dir=to, endpoint=hub.url, cache_dir=tmp_path / "cache")
    assert _tree(to) == FILES


def test_hugging_face_client_accepts_a_commit_and_refuses_an_unknown_one(
    hub: Hub, tmp_path: Path
) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    def download(revision: str) -> Path:
        to = tmp_path / revision
        settings = {"endpoint": hub.url, "cache_dir": tmp_path / "cache", "local_dir": to}
        snapshot_download(MODEL, revision=revision, allow_patterns="*Q8_0*", **settings)
        return to

    assert list(_tree(download(hub.commit(MODEL)))) == ["small-Q8_0.gguf"]
    with pytest.raises((HfHubHTTPError, FileNotFoundError)):
        download("0" * 40)


def test_ranges(hub: Hub) -> None:
    assert _get(_url(hub), Range="bytes=10-19") == (206, CONTENT[10:20])
    assert _get(_url(hub), Range="bytes=1000-") == (206, CONTENT[1000:])
    assert _get(_url(hub), Range="bytes=-7") == (206, CONTENT[-7:])
    with pytest.raises(urllib.error.HTTPError, match="416"):
        _get(_url(hub), Range=f"bytes={len(CONTENT)}-")
    hub.faults.add("no_range")
    assert _get(_url(hub), Range="bytes=10-19") == (200, CONTENT)


def test_listing_has_size_and_sha256_and_its_faults(hub: Hub) -> None:
    true = hashlib.sha256(CONTENT).hexdigest()
    assert _listing(hub)[SHARD]["Sha256"] == true
    assert _listing(hub)[SHARD]["Size"] == len(CONTENT)
    for kind in ("wrong_sha256", "upper_sha256", "no_sha256", "escape", "wrong_size"):
        hub.faults.add(kind, f"*/{SHARD}", count=1)
    listing = _listing(hub)
    assert "Sha256" not in listing[SHARD]
    assert listing[SHARD]["Size"] == len(CONTENT) + 1
    assert f"../{SHARD}" in listing
    hub.faults.clear()
    hub.faults.add("upper_sha256", f"*/{SHARD}", count=1)
    assert _listing(hub)[SHARD]["Sha256"] == true.upper()
    assert _listing(hub)[SHARD]["Sha256"] == true


def test_status_faults_count_and_say_when_to_come_back(hub: Hub) -> None:
    hub.faults.add("status", "*.gguf", code=429, seconds=3, count=2, skip=1)
    assert _get(_url(hub))[0] == 200
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError) as error:
            _get(_url(hub))
        assert (error.value.code, error.value.headers["Retry-After"]) == (429, "3")
    assert _get(_url(hub))[0] == 200


def test_faults_in_content(hub: Hub) -> None:
    half = len(CONTENT) // 2
    hub.faults.add("truncate", count=1)
    assert _get(_url(hub))[1] == CONTENT[:half]
    hub.faults.add("corrupt", count=1, at=5)
    (different,) = [i for i, byte in enumerate(_get(_url(hub))[1]) if byte != CONTENT[i]]
    assert different == 5
    hub.faults.add("changed", count=1)
    body = _get(_url(hub))[1]
    assert body != CONTENT and len(body) == len(CONTENT)
    hub.faults.add("close", count=1, at=1000)
    with pytest.raises(http.client.IncompleteRead) as short:
        _get(_url(hub))
    assert short.value.partial == CONTENT[:1000]
    hub.faults.add("reset", count=1)
    with pytest.raises(ConnectionResetError):
        _get(_url(hub))
    hub.faults.add("stall", count=1, seconds=0.2)
    with pytest.raises(http.client.IncompleteRead):
        _get(_url(hub))
    assert _get(_url(hub))[1] == CONTENT


def test_another_process_sets_faults_and_reads_the_log(hub: Hub) -> None:
    def control(method: str, path: str, value: object = None) -> list[dict[str, object]]:
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(f"{hub.url}/_lab/{path}", data, method=method)
        return json.loads(urllib.request.urlopen(request).read())

    control("POST", "faults", {"kind": "status", "paths": "*README*", "code": 403})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        _get(_url(hub, "README.md"))
    assert control("GET", "faults")[0]["happened"] == 1
    with pytest.raises(urllib.error.HTTPError, match="400"):
        control("POST", "faults", {"kind": "gremlins"})
    assert control("DELETE", "faults") == []
    _get(_url(hub), Range="bytes=0-99", Authorization="Bearer secret")
    deadline = time.monotonic() + 5
    # The hub counts what it has sent, which is after this side has read it.
    while not (last := control("GET", "requests")[-1])["bytes"] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (last["status"], last["bytes"], last["range"]) == (206, 100, "bytes=0-99")
    assert last["authorized"] is True and "secret" not in json.dumps(last)
