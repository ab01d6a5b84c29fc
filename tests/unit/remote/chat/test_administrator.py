"""The first administrator's password is made once, for root alone, and printed nowhere."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path

import pytest

from deploys.remote.chat import administrator


def _make(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["administrator.py", str(path)])
    return administrator.main()


def test_it_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "webui.env"
    assert _make(path, monkeypatch) == 0
    first = path.read_text()
    password = re.findall(r"^WEBUI_ADMIN_PASSWORD=([\w-]{20})$", first, re.MULTILINE)
    assert len(password) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert _make(path, monkeypatch) == 0
    assert path.read_text() == first
    assert capsys.readouterr() == ("", "")


def test_no_two_machines_have_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        assert _make(tmp_path / name, monkeypatch) == 0
    assert (tmp_path / "a").read_text() != (tmp_path / "b").read_text()


def test_where_it_cannot_be_written_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _make(tmp_path / "missing" / "webui.env", monkeypatch) == 1
    assert "password cannot be made" in capsys.readouterr().err
