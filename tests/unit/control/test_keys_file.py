"""The keys file as the operator's command changes it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from deploys.control import keys
from deploys.planning.gateway.keys import sha256
from deploys.planning.inputs.refusal import Refusal


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """python -m deploys.keys, and its exit code."""
    monkeypatch.setattr(sys, "argv", ["keys", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("deploys.keys", run_name="__main__")
    return int(str(ended.value.code or 0))


def test_a_key_is_printed_once_and_its_hash_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.toml"
    options = ("--rate", "30", "--models", "r1,qwen", "--until", "2027-01-31", "--keys", str(file))
    assert run(monkeypatch, "new", "alice", "research", *options) == 0
    secret = capsys.readouterr().out.strip()
    (key,) = keys.read(file)
    assert (key.user, key.team, key.sha256) == ("alice", "research", sha256(secret))
    assert (key.rate, key.models, str(key.until)) == (30, ("r1", "qwen"), "2027-01-31")
    assert secret not in file.read_text()
    assert run(monkeypatch, "list", "--keys", str(file)) == 0
    listed = capsys.readouterr().out
    assert "alice" in listed and "rate 30" in listed and secret not in listed


def test_comments_and_other_entries_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys.toml"
    for user in ("alice", "bob", "carol", "bob"):
        assert run(monkeypatch, "new", user, "research", "--keys", str(file)) == 0
    text = file.read_text().replace('user = "carol"', 'user = "carol"  # on leave until May')
    file.write_text(f"# Asked by the dean.\n{text}")
    assert run(monkeypatch, "revoke", "bob", "--keys", str(file)) == 0
    after = file.read_text()
    assert after.startswith("# Asked by the dean.\n")
    assert 'user = "carol"  # on leave until May\n' in after
    assert [key.user for key in keys.read(file)] == ["alice", "carol"]
    for user in ("alice", "carol"):
        assert run(monkeypatch, "revoke", user, "--keys", str(file)) == 0
    assert keys.read(file) == ()
    assert run(monkeypatch, "new", "dora", "research", "--keys", str(file)) == 0
    assert [key.user for key in keys.read(file)] == ["dora"]


@pytest.mark.parametrize(
    "words",
    [("new", "b b", "research"), ("new", "open-webui", "x"), ("revoke", "nobody"), ("list",)],
)
def test_what_is_refused_changes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    file = tmp_path / "keys.toml"
    assert run(monkeypatch, *words, "--keys", str(file)) == 1
    said = capsys.readouterr()
    assert said.err.startswith("refused: ") and said.out == ""
    assert not file.exists()


def test_without_a_file_a_plan_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"There is no .*keys.toml.*python -m deploys.keys new"):
        keys.read(tmp_path / "keys.toml")
