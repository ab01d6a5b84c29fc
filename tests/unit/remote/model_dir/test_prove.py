"""A model directory that was copied or restored is proven again, and only what is wrong fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.__main__ import main
from deploys.remote.download import fetch as program
from deploys.remote.download.source import RetryPolicy
from deploys.remote.lib import content, spec
from deploys.remote.lib.failure import Failure, Stopped
from deploys.remote.lib.journal import Journal, JournalEntry
from deploys.remote.model_dir import manifest, prove, publish, verify
from tests.unit.remote.support import Hub, merged, request, serving, split

QUICK = RetryPolicy(
    silence=0.4, tries=2, first_wait=0.01, longest_wait=0.05, longest_retry_after=0.3
)
GROUPS = [[(f"t{number}", bytes([number]) * 300_000)] for number in range(3)]
SHARDS = split(GROUPS)
FIRST, SECOND, THIRD = SHARDS
WHOLE = merged(GROUPS)
MERGE = {"output": "tiny.gguf"}
Copy = Callable[[Path, Path], object]


def by_tar(source: Path, target: Path) -> None:
    target.mkdir()
    packed = subprocess.run(["tar", "-C", source, "-c", "."], stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-C", target, "-x"], input=packed.stdout, check=True)


COPIES: dict[str, Copy] = {
    "cp -a": lambda source, target: subprocess.run(["cp", "-a", source, target], check=True),
    "tar, whole seconds": by_tar,
    "no times": lambda source, target: shutil.copytree(source, target, copy_function=shutil.copy),
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of a digest took."""
    found: list[int] = []
    real = content.update_from

    def sha256_of(path: Path, on_bytes: content.OnBytes = content.no_callback) -> str:
        return content.sha256_of(path, lambda count: (found.append(count), on_bytes(count))[1])

    def update_from(*words: Any) -> None:
        found.append(words[3] - words[2])
        real(*words)

    monkeypatch.setattr(verify, "sha256_of", sha256_of)
    monkeypatch.setattr(verify, "update_from", update_from)
    return found


@pytest.fixture(params=[None, MERGE], ids=["shards", "merged"])
def wanted(request: pytest.FixtureRequest) -> dict[str, Any] | None:
    return request.param  # type: ignore[no-any-return]


def fetched(place: Path, merge: dict[str, Any] | None, hub: Hub) -> dict[str, Any]:
    value = request(place, SHARDS, hub, merge=merge)
    fetch(value)
    return value


def fetch(value: dict[str, Any], **more: Any) -> bool:
    return program.fetch(spec.parse(value), patience=QUICK, **more)


def spoil(path: Path, at: int) -> None:
    """One byte is another one; the size and the time are what they were."""
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 1]))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_read_once_and_nobody_is_asked(
    tmp_path: Path, wanted: dict[str, Any] | None, copy: Copy, read: list[int]
) -> None:
    with serving(Hub(SHARDS)) as hub:
        value = fetched(tmp_path / "m", wanted, hub)
    copy(tmp_path / "m", tmp_path / "copy")
    shutil.rmtree(tmp_path / "m")
    value["directory"] = str(tmp_path / "copy")
    assert not publish.complete(spec.parse(value))
    assert fetch(value)  # the hub is gone
    assert sum(read) >= len(WHOLE)
    read.clear()
    assert publish.complete(spec.parse(value)) and not fetch(value) and read == []
    heads = [".head"] * 3 if wanted else []
    left = sorted(each.suffix or each.name for each in (tmp_path / "copy" / ".fetch").iterdir())
    assert left == [*heads, "lock"]


def test_one_byte_that_differs_is_found_and_only_that_file_fetched(
    tmp_path: Path, wanted: dict[str, Any] | None, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(Hub(SHARDS)) as hub:
        value = fetched(tmp_path / "m", wanted, hub)
        shutil.copytree(tmp_path / "m", tmp_path / "copy")
        value["directory"] = str(tmp_path / "copy")
        spoil(tmp_path / "copy" / ("tiny.gguf" if wanted else SECOND), 450_000 if wanted else 9_000)
        hub.asked.clear()
        assert fetch(value)
        assert {path for path, _ in hub.asked} == {SECOND}
        assert f"{'tiny.gguf' if wanted else SECOND}: sha256 expected" in capfd.readouterr().out
        hub.asked.clear()
        assert not fetch(value) and not hub.asked
    for path, data in {"tiny.gguf": WHOLE}.items() if wanted else SHARDS.items():
        assert (tmp_path / "copy" / path).read_bytes() == data


def test_what_cannot_be_fetched_again_is_never_complete(
    tmp_path: Path, wanted: dict[str, Any] | None
) -> None:
    with serving(Hub(SHARDS)) as hub:
        value = fetched(tmp_path, wanted, hub)
    spoil(tmp_path / ("tiny.gguf" if wanted else SECOND), 450_000 if wanted else 9_000)
    for _ in range(2):
        with pytest.raises(Failure, match=SECOND):
            fetch(value)
        found = manifest.load(tmp_path / "manifest.json")
        assert found and manifest.problems(found, tmp_path)
        assert main(["weights", "verify", str(tmp_path)]) == 1
        assert main(["weights", "prove", str(tmp_path)]) == 1
    with serving(Hub(SHARDS, port=0)) as hub:
        assert fetch({**value, "sources": request(tmp_path, SHARDS, hub)["sources"]})
        assert {path for path, _ in hub.asked} == {SECOND}
    assert main(["weights", "verify", str(tmp_path), "--deep"]) == 0


def test_the_header_of_a_merged_file_is_written_again(tmp_path: Path) -> None:
    with serving(Hub(SHARDS)) as hub:
        value = fetched(tmp_path, MERGE, hub)
        hub.asked.clear()
        spoil(tmp_path / "tiny.gguf", 30)
        assert fetch(value) and not hub.asked
    assert (tmp_path / "tiny.gguf").read_bytes() == WHOLE


def test_a_copy_of_an_unfinished_merge_is_not_taken_at_its_word(tmp_path: Path) -> None:
    """The journal was copied behind the file, or the copy of the file is damaged."""
    with serving(Hub(SHARDS, corrupt={THIRD: 99})) as hub:
        value = request(tmp_path / "m", SHARDS, hub, merge=MERGE)
        with pytest.raises(Failure):
            fetch(value)
        shutil.copytree(tmp_path / "m", tmp_path / "copy")
        part = tmp_path / "copy" / "tiny.gguf.part"
        spoil(part, 100_000)
        hub.corrupt, value["directory"] = {}, str(tmp_path / "copy")
        assert fetch(value)
    assert (tmp_path / "copy" / "tiny.gguf").read_bytes() == WHOLE


def test_a_stale_journal_says_nothing_of_a_file_that_is_opened_again(tmp_path: Path) -> None:
    with serving(Hub(SHARDS)) as hub:
        value = fetched(tmp_path, MERGE, hub)
        place = WHOLE.index(bytes([1]) * 1000)
        journal = Journal(tmp_path / ".fetch" / "journal")
        digest = next(each["sha256"] for each in value["files"] if each["path"] == SECOND)
        journal.put({f"{digest} {place} {SECOND}": JournalEntry(((0, 1),), True)})
        journal.close()
        spoil(tmp_path / "tiny.gguf", 450_000)
        assert fetch(value)
    assert (tmp_path / "tiny.gguf").read_bytes() == WHOLE


def test_a_proof_that_is_stopped_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[int]
) -> None:
    with serving(Hub(SHARDS)) as hub:
        fetched(tmp_path, None, hub)
    for path in SHARDS:
        (tmp_path / path).touch()
    stop, real = threading.Event(), prove._write

    def write(*words: Any) -> None:
        real(*words)
        stop.set()

    begun, sha256_of = [0], verify.sha256_of

    def waiting(*words: Any) -> str:
        begun.append(begun[-1] + 1)
        if begun[-1] > 1:
            stop.wait(60)
        return sha256_of(*words)

    monkeypatch.setattr(verify, "threads", lambda: 1)
    monkeypatch.setattr(verify, "sha256_of", waiting)
    monkeypatch.setattr(prove, "_write", write)
    with pytest.raises(Stopped):
        prove.renew(tmp_path, stop)
    found = manifest.load(tmp_path / "manifest.json")
    assert found and len(manifest.problems(found, tmp_path)) == 2
    monkeypatch.setattr(prove, "_write", real)
    read.clear()
    assert prove.renew(tmp_path, threading.Event()) == []
    assert 0 < sum(read) < sum(map(len, SHARDS.values()))


def test_what_is_wrong_is_read_once(
    tmp_path: Path, wanted: dict[str, Any] | None, read: list[int], capfd: Any
) -> None:
    with serving(Hub(SHARDS)) as hub:
        fetched(tmp_path, wanted, hub)
    file = tmp_path / ("tiny.gguf" if wanted else SECOND)
    spoil(file, 9_000)
    assert main(["weights", "verify", str(tmp_path)]) == 1
    assert f"weights prove {tmp_path}" in capfd.readouterr().err
    assert main(["weights", "ls", str(tmp_path)]) == 0
    assert capfd.readouterr().out.splitlines()[1].startswith("unproven")
    assert main(["weights", "prove", str(tmp_path)]) == 1
    assert "sha256 expected" in capfd.readouterr().err and sum(read)
    read.clear()
    assert main(["weights", "prove", str(tmp_path)]) == 1 and read == []
    spoil(file, 9_000)
    assert main(["weights", "prove", str(tmp_path)]) == 0
    assert main(["weights", "prove", str(tmp_path / "nowhere")]) == 1


def test_a_merge_that_was_copied_is_complete_already(tmp_path: Path) -> None:
    from deploys.remote.merge.merge import join

    for path, data in SHARDS.items():
        (tmp_path / path).write_bytes(data)
    join(tmp_path / FIRST, tmp_path / "m" / "tiny.gguf")
    shutil.copytree(tmp_path / "m", tmp_path / "copy")
    assert join(tmp_path / FIRST, tmp_path / "copy" / "tiny.gguf") is None
    spoil(tmp_path / "copy" / "tiny.gguf", 9_000)
    with pytest.raises(Failure, match="exists already"):
        join(tmp_path / FIRST, tmp_path / "copy" / "tiny.gguf")
