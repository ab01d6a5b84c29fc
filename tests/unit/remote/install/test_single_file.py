"""One pinned file is whole at its place, or not there."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest

from deploys.remote.__main__ import main
from deploys.remote.download.source import RetryPolicy
from deploys.remote.install import single_file
from deploys.remote.install.artifact import Artifact, WrongArchive
from deploys.remote.lib.failure import Failure
from tests.unit.remote.support import Hub, serving

QUICK = RetryPolicy(silence=0.4, tries=4, first_wait=0.01, longest_wait=0.05)
DATA = b"!<arch>\n" + bytes(range(256)) * 20


def wanted(file: Path, hub: Hub, data: bytes = DATA) -> Artifact:
    url = f"http://127.0.0.1:{hub.port}/key.deb"
    return single_file.parse(
        {"url": url, "sha256": hashlib.sha256(data).hexdigest(), "file": str(file)}
    )


def test_it_comes_once(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "key.deb"
    with serving(Hub({"key.deb": DATA})) as hub:
        single_file.install(wanted(file, hub), patience=QUICK)
        asked = len(hub.asked)
        single_file.install(wanted(file, hub), patience=QUICK)
        assert len(hub.asked) == asked
    assert file.read_bytes() == DATA
    assert file.stat().st_mode & 0o7777 == 0o644
    assert [path.name for path in file.parent.iterdir()] == ["key.deb"]


def test_what_is_not_the_pinned_one_never_gets_the_name(tmp_path: Path) -> None:
    file = tmp_path / "key.deb"
    with (
        serving(Hub({"key.deb": b"another" * 99})) as hub,
        pytest.raises(WrongArchive, match="sha256 expected"),
    ):
        single_file.install(wanted(file, hub), patience=QUICK)
    assert not file.exists() and not (tmp_path / ".key.deb.part").exists()


def test_another_content_is_replaced_and_an_old_beginning_given_up(tmp_path: Path) -> None:
    file = tmp_path / "key.deb"
    file.write_bytes(b"old")
    (tmp_path / ".key.deb.part").write_bytes(b"x" * 100)
    with serving(Hub({"key.deb": DATA})) as hub:
        single_file.install(wanted(file, hub), patience=QUICK)
    assert file.read_bytes() == DATA


def test_a_pin_is_needed(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="pin it first"):
        single_file.parse({"url": "http://127.0.0.1/x", "sha256": None, "file": "/x"})


def test_the_program_takes_it_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key.deb"
    with serving(Hub({"key.deb": DATA})) as hub:
        digest = hashlib.sha256(DATA).hexdigest()
        url = f"http://127.0.0.1:{hub.port}/key.deb"
        spec = {"url": url, "sha256": digest, "file": str(file)}
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(spec)))
        assert main(["artifact", "-"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {
        "file": str(file),
        "sha256": digest,
    }
