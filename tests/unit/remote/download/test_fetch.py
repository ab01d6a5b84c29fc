"""weights fetch: what is in the directory afterwards, whatever the hub does."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.download import fetch as program
from deploys.remote.download.source import RetryPolicy
from deploys.remote.lib import spec
from deploys.remote.lib.failure import Failure, Stopped
from deploys.remote.model_dir import manifest
from tests.unit import ROOT
from tests.unit.remote.support import (
    Hub,
    gguf,
    pair,
    request,
    serving,
    source,
    split,
    split_pairs,
    text,
)

QUICK = RetryPolicy(
    silence=0.4, tries=4, first_wait=0.01, longest_wait=0.05, longest_retry_after=0.3
)


def content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


FILES = {
    "config.json": b'{"a": 1}',
    "empty.txt": b"",
    "sub/model.bin": content(300_000),
    "other.bin": content(200_000, 2),
}


def fetch(value: dict[str, Any], **more: Any) -> bool:
    return program.fetch(spec.parse(value), patience=QUICK, **more)


def assert_there(directory: Path, files: dict[str, bytes]) -> None:
    for path, expected in files.items():
        assert (directory / path).read_bytes() == expected, path
        assert (directory / path).stat().st_mode & 0o777 == 0o644
    found = manifest.load(directory / "manifest.json")
    assert found and not manifest.problems(found, directory)
    assert {each.path for each in found.files} == set(files)
    assert [p.name for p in (directory / ".fetch").iterdir()] == ["lock"]


@pytest.mark.parametrize("kind", ["modelscope", "huggingface", "http"])
def test_every_kind_of_hub(tmp_path: Path, kind: str) -> None:
    with serving(Hub(FILES)) as hub:
        assert fetch(request(tmp_path / "m", FILES, sources=[source(hub, kind)]))
        assert_there(tmp_path / "m", FILES)
        assert hub.sent == sum(map(len, FILES.values()))


def test_a_complete_directory_is_left_alone(tmp_path: Path) -> None:
    with serving(Hub(FILES)) as hub:
        value = request(tmp_path, FILES, hub)
        assert fetch(value)
        (tmp_path / "mine.txt").write_text("not in the listing")
        asked = len(hub.asked)
        start = time.process_time()
        assert not fetch(value)
        assert time.process_time() - start < 0.05
        assert len(hub.asked) == asked
        assert (tmp_path / "mine.txt").exists()
        # The same content under a new revision costs no byte, and the manifest says so.
        later = {**value, "sources": [{**source(hub), "revision": "r2"}]}
        assert fetch(later) and not fetch(later)
        found = manifest.load(tmp_path / "manifest.json")
        assert found and found.revision == "r2"
        assert len(hub.asked) == asked


def test_a_touched_file_is_read_and_a_changed_one_fetched(tmp_path: Path) -> None:
    with serving(Hub(FILES)) as hub:
        value = request(tmp_path, FILES, hub)
        fetch(value)
        hub.asked.clear()
        (tmp_path / "config.json").touch()
        (tmp_path / "other.bin").write_bytes(content(200_000, 9))
        assert fetch(value)
        assert_there(tmp_path, FILES)
        assert [path for path, _ in hub.asked] == ["other.bin"]


def test_resets_stalls_and_busy_answers_are_survived(tmp_path: Path) -> None:
    busy = [(503, {}), (429, {"Retry-After": "0"}), (502, {})]
    with serving(Hub(FILES, cut=[70_000, 1000], stall=[50_000], statuses=busy)) as hub:
        fetch(request(tmp_path, FILES, hub, workers=2))
        assert_there(tmp_path, FILES)
        assert any(first > 0 for _, first in hub.asked)
        assert hub.sent < 1.3 * sum(map(len, FILES.values()))


def test_retry_after_is_honoured_up_to_a_cap(tmp_path: Path) -> None:
    files = {"a": b"a"}
    with serving(Hub(files, statuses=[(429, {"Retry-After": "3600"})])) as hub:
        start = time.monotonic()
        fetch(request(tmp_path, files, hub))
        assert 0.3 <= time.monotonic() - start < 600


def test_a_server_without_ranges_begins_again(tmp_path: Path) -> None:
    with serving(Hub(FILES, ranges=False, cut=[70_000])) as hub:
        fetch(request(tmp_path, FILES, hub))
        assert_there(tmp_path, FILES)


def test_wrong_bytes_once_are_fetched_again(tmp_path: Path) -> None:
    with serving(Hub(FILES, corrupt={"other.bin": 2})) as hub:
        fetch(request(tmp_path, FILES, hub))
        assert_there(tmp_path, FILES)
        assert [path for path, _ in hub.asked].count("other.bin") == 3
        assert [path for path, _ in hub.asked].count("sub/model.bin") == 1


def test_wrong_bytes_for_good_fail_with_both_digests(tmp_path: Path) -> None:
    with serving(Hub(FILES, corrupt={"other.bin": 99})) as hub:
        with pytest.raises(Failure) as failure:
            fetch(request(tmp_path, FILES, hub))
        assert [path for path, _ in hub.asked].count("other.bin") == 3
        wrong = bytearray(FILES["other.bin"])
        wrong[-1] ^= 1
        for piece in ("other.bin", hashlib.sha256(wrong).hexdigest(), hub.url,
                      hashlib.sha256(FILES["other.bin"]).hexdigest()):  # fmt: skip
            assert piece in str(failure.value)
        assert not (tmp_path / "other.bin").exists()
        assert not (tmp_path / "manifest.json").exists()


def test_another_source_helps_out(tmp_path: Path) -> None:
    without = {path: data for path, data in FILES.items() if path != "other.bin"}
    with serving(Hub(without, corrupt={"sub/model.bin": 99})) as one, serving(Hub(FILES)) as two:
        fetch(request(tmp_path, FILES, one, two))
        assert_there(tmp_path, FILES)
        # It may have helped with more, while the first one was busy.
        assert {"other.bin", "sub/model.bin"} <= {path for path, _ in two.asked}


@pytest.mark.parametrize(
    ("status", "said"), [(401, "token"), (403, "licence"), (404, "revision"), (416, "listing")]
)
def test_refusals_are_final_and_say_what_is_missing(tmp_path: Path, status: int, said: str) -> None:
    with serving(Hub(FILES, statuses=[(status, {})] * 9)) as hub:
        files = {"other.bin": FILES["other.bin"]}
        with pytest.raises(Failure, match=said):
            fetch(request(tmp_path, files, hub))
        assert len(hub.asked) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>please log in</html>", "HTML page"),
        (FILES["other.bin"][:1000], "1000 bytes"),
    ],
)
def test_another_size_is_refused_before_it_is_read(
    tmp_path: Path, answer: bytes, said: str
) -> None:
    files = {"other.bin": FILES["other.bin"]}
    with serving(Hub({"other.bin": answer})) as hub, pytest.raises(Failure, match=said):
        fetch(request(tmp_path, files, hub))


def test_a_dead_hub_is_given_up(tmp_path: Path) -> None:
    with serving(Hub({})) as hub:
        pass
    with pytest.raises(Failure, match="4 times in a row"):
        fetch(request(tmp_path, FILES, hub))


def test_a_token_stays_with_its_origin(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    token = tmp_path / "token"
    token.write_text("secret-canary\n")
    files = {"a": b"content"}
    with serving(Hub(files)) as store, serving(Hub({}, redirect=store.url)) as hub:
        fetch(request(tmp_path / "m", files, hub, token_file=str(token)))
        assert "Bearer secret-canary" in hub.headers[0]["Authorization"]
        assert "secret-canary" not in str(store.headers)
    with serving(Hub(files, statuses=[(401, {})])) as hub, pytest.raises(Failure) as failure:
        fetch(request(tmp_path / "n", files, hub, token_file=str(token)))
    assert "secret-canary" not in str(failure.value) + "".join(capfd.readouterr())
    with pytest.raises(Failure, match="several sources"):
        spec.parse(request(tmp_path, files, hub, store, token_file=str(token)))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b", "a//b", "", "manifest.json"]
)
def test_unsafe_paths_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Failure):
        spec.parse(request(tmp_path, {path: b"x"}, Hub({})))


def test_nothing_unproven_is_fetched(tmp_path: Path) -> None:
    value = request(tmp_path, FILES, Hub({}))
    value["files"][0]["sha256"] = None
    with pytest.raises(Failure, match="pin it first"):
        spec.parse(value)
    with pytest.raises(Failure, match="no files"):
        spec.parse(request(tmp_path, {}, Hub({})))


def test_a_directory_is_a_source(tmp_path: Path) -> None:
    for path, data in FILES.items():
        (tmp_path / "disk" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "disk" / path).write_bytes(data)
    here = [{"kind": "directory", "endpoint": str(tmp_path / "disk")}]
    fetch(request(tmp_path / "m", FILES, sources=here))
    assert_there(tmp_path / "m", FILES)


def test_stop_keeps_what_there_is(tmp_path: Path) -> None:
    files = {"big": content(400_000)}
    stop = threading.Event()
    with serving(Hub(files, rate=400_000)) as hub:
        threading.Timer(0.4, stop.set).start()
        with pytest.raises(Stopped):
            fetch(request(tmp_path, files, hub), stop=stop)
        hub.rate, sent = 0, hub.sent
        fetch(request(tmp_path, files, hub))
        assert_there(tmp_path, files)
        assert hub.sent - sent < 380_000
        assert hub.asked[-1][1] > 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_and_started_again(tmp_path: Path, how: signal.Signals) -> None:
    files = {"big": content(1_600_000), "more": content(500_000, 3)}
    total = sum(map(len, files.values()))
    with serving(Hub(files, rate=800_000)) as hub:
        request_file = tmp_path / "spec.json"
        request_file.write_text(json.dumps(request(tmp_path / "m", files, hub)))
        progress = tmp_path / "progress"
        command = [sys.executable, "-m", "deploys.remote", "weights", "fetch", str(request_file)]
        environment = {**os.environ, "MODELRACK_PROGRESS": str(progress)}
        first = subprocess.Popen(
            command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        while hub.sent < 0.75 * total and first.poll() is None:
            time.sleep(0.02)
        first.send_signal(how)
        _, said = first.communicate()
        if how == signal.SIGTERM:
            assert first.returncode == 143 and "run the same command again" in said
        seen = json.loads(progress.read_text())
        assert seen["total"] == total and 0 < seen["done"] < total and seen["unit"] == "B"
        assert not (tmp_path / "m" / "manifest.json").exists()
        hub.rate = 0
        before, hub.sent = hub.sent, 0
        hub.asked.clear()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert hub.asked and all(start > 0 for path, start in hub.asked if path == "big")
        assert before + hub.sent < 1.6 * total and hub.sent < 0.8 * total
    assert_there(tmp_path / "m", files)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("general.architecture", "clip", "its part that sees pictures"),
        ("general.type", "adapter", "of the type adapter"),
        ("general.architecture", "eagle3", "what drafts a model's tokens"),
    ],
)
@pytest.mark.parametrize("merged", [False, True])
def test_what_is_no_model_is_never_complete(
    tmp_path: Path, key: str, value: str, said: str, merged: bool
) -> None:
    part = gguf([pair(key, 8, text(value)), *split_pairs(0, 1, 1)], [("v", content(900))])
    files = {"x-00001-of-00001.gguf": part}
    more = {"opened": next(iter(files)), "merge": {"output": "x.gguf"} if merged else None}
    with serving(Hub(files)) as hub, pytest.raises(Failure, match=f"is not a model but {said}"):
        fetch(request(tmp_path, files, hub, **more))
    assert not (tmp_path / "manifest.json").exists() and not (tmp_path / "x.gguf").exists()


def test_a_vocabulary_is_no_model(tmp_path: Path) -> None:
    files = {"ggml-vocab-x.gguf": gguf([pair("general.architecture", 8, text("llama"))], [])}
    with serving(Hub(files)) as hub, pytest.raises(Failure, match="its vocabulary alone"):
        fetch(request(tmp_path, files, hub, opened="ggml-vocab-x.gguf"))


def test_a_type_that_ggml_has_dropped_is_refused(tmp_path: Path) -> None:
    # Of one row of 0x18 bytes; 0x1f is Q4_0_4_4.
    whole = gguf([pair("general.architecture", 8, text("llama"))], [("v", content(24))])
    of_then = text("v") + struct.pack("<IQIQ", 1, 24, 31, 0)
    files = {"x.gguf": whole.replace(text("v") + struct.pack("<IQIQ", 1, 24, 24, 0), of_then)}
    assert files["x.gguf"] != whole
    with serving(Hub(files)) as hub, pytest.raises(Failure, match=r"has v in a type .* \(31\)"):
        fetch(request(tmp_path, files, hub, opened="x.gguf"))


def test_shards_that_stay_so_are_whole_by_their_headers(tmp_path: Path) -> None:
    shards = split([[("a", content(40))], [("b", content(40))], [("c", content(40))]], "x")
    first, second, third = shards
    renamed = dict(zip([f"x-0000{n}-of-00002.gguf" for n in (1, 2)], shards.values(), strict=False))
    for number, (files, said) in enumerate(
        (
            ({first: shards[first], second: shards[second]}, f"{third} is not there"),
            (renamed, "x-00001-of-00003.gguf is not there"),
            ({"x.gguf": shards[first]}, "one of 3 shards by its header"),
            ({**shards, second: shards[third]}, f"{second} is not shard 2 of 3"),
        )
    ):
        with serving(Hub(files)) as hub, pytest.raises(Failure, match=said):
            fetch(request(tmp_path / str(number), files, hub, opened=next(iter(files))))
    with serving(Hub(shards)) as hub:
        assert fetch(request(tmp_path / "whole", shards, hub, opened=first))


def test_what_is_to_be_opened_is_listed(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"no file x\.gguf, which is to be opened"):
        spec.parse(request(tmp_path, FILES, Hub({}), opened="x.gguf"))


def test_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from deploys.remote.__main__ import main

    assert main(["weights", "verify", str(tmp_path)]) == 1
    with serving(Hub(FILES)) as hub:
        fetch(request(tmp_path, FILES, hub))
    capsys.readouterr()
    for arguments in ([], ["--deep"]):
        assert main(["weights", "verify", str(tmp_path), *arguments]) == 0
        assert json.loads(capsys.readouterr().out) == {"ok": True, "model": "tiny", "problems": []}
    found = (tmp_path / "other.bin").stat()
    spoilt = bytearray(FILES["other.bin"])
    spoilt[7] ^= 1
    (tmp_path / "other.bin").write_bytes(spoilt)
    os.utime(tmp_path / "other.bin", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert main(["weights", "verify", str(tmp_path)]) == 0  # a quiet change of bits
    assert main(["weights", "verify", str(tmp_path), "--deep"]) == 1
    capsys.readouterr()
    (tmp_path / "config.json").unlink()
    assert main(["weights", "verify", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["problems"] == ["config.json: No such file or directory"]
    assert "run weights fetch" in said.err.splitlines()[-1]
