"""What was there before is noted once, and what others had at a place of ours is kept."""

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.lib import put
from deploys.remote.lifecycle import before

USER, GROUP = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "var/lib/modelrack/before.json"
    monkeypatch.setattr(before, "NOTE", path)
    monkeypatch.setattr("sys.argv", ["before.py", str(tmp_path / "data"), "vm.swappiness"])
    monkeypatch.setattr(before, "_deployed", lambda: False)
    return path


def test_it_is_noted_once(note: Path, tmp_path: Path) -> None:
    before.main()
    noted: dict[str, Any] = json.loads(note.read_text())
    assert noted["known"]
    assert noted["sysctl"] == {"vm.swappiness": Path("/proc/sys/vm/swappiness").read_text().strip()}
    assert "root" in noted["users"]
    assert str(tmp_path) in noted["folders"]
    assert str(tmp_path / "data") not in noted["folders"]
    (tmp_path / "data").mkdir()
    before.main()
    assert json.loads(note.read_text()) == noted


def test_of_a_machine_that_is_deployed_already_it_is_not_known(
    note: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(before, "_deployed", lambda: True)
    before.main()
    assert json.loads(note.read_text()) == {"schema": 1, "known": False}


def test_a_file_of_others_is_kept_when_ours_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(put, "_REPLACED", str(tmp_path / "kept"))
    path = tmp_path / "ollama.service"
    path.write_text("[Service]\n")
    path.chmod(0o600)
    for content in ("# Written by modelrack.\n1", "# Written by modelrack.\n2"):
        text = base64.b64encode(content.encode()).decode()
        entry = {"kind": "file", "path": str(path), "content": text, "mode": "644"}
        assert put.write([{**entry, "user": USER, "group": GROUP}])
    copy = tmp_path / "kept" / path.relative_to("/")
    assert copy.read_text() == "[Service]\n"
    assert copy.stat().st_mode & 0o777 == 0o600
