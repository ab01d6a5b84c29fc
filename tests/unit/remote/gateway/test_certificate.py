"""A key of the machine's own, its request, and the certificate for it; openssl is real."""

from __future__ import annotations

import grp
import io
import os
import sys
from pathlib import Path

import pytest

from deploys.control.authority import authority
from deploys.remote.gateway import certificate

GROUP = grp.getgrgid(os.getgid()).gr_name


def run(monkeypatch: pytest.MonkeyPatch, *words: str, given: str = "") -> int:
    monkeypatch.setattr(sys, "argv", ["certificate.py", *words])
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    return certificate.main()


def test_the_key_stays_and_the_certificate_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.pem"
    assert run(monkeypatch, "request", str(path)) == 0
    asked = capsys.readouterr().out
    assert "PRIVATE" not in asked and not path.exists()
    chain = authority(tmp_path / "ca").sign(asked, "gpu-01", ("ai.lab",))
    assert run(monkeypatch, "accept", str(path), GROUP, given=chain) == 0
    assert path.stat().st_mode & 0o777 == 0o640
    text = path.read_text()
    assert text.startswith(chain) and text.count("PRIVATE KEY") == 2
    assert [each.name for each in tmp_path.iterdir() if each.name != "ca"] == ["gateway.pem"]


def test_a_certificate_for_another_key_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.pem"
    assert run(monkeypatch, "request", str(path)) == 0
    first = capsys.readouterr().out
    assert run(monkeypatch, "request", str(path)) == 0
    chain = authority(tmp_path / "ca").sign(first, "gpu-01", ("ai.lab",))
    assert run(monkeypatch, "accept", str(path), GROUP, given=chain) == 1
    assert "not for the key of this machine" in capsys.readouterr().err
    assert not path.exists()
