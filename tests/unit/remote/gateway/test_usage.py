"""The usage log is summed beside a journalctl that prints what it is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.gateway import usage

# 2026-11-30 23:59:59 UTC, and two seconds later.
NOVEMBER, DECEMBER = 1796083199, 1796083201
ANSWER = {
    "user": "alice",
    "team": "research",
    "model": "r1",
    "path": "/v1/chat/completions",
    "status": 200,
    "to": "service-r1/gpu-01",
    "end": "--",
    "ms": 1500,
    "tokens_in": 22,
    "tokens_out": 14,
    "estimated": False,
}


def line(message: Any, when: int = NOVEMBER) -> dict[str, Any]:
    return {
        "__REALTIME_TIMESTAMP": str(when * 1_000_000),
        "MESSAGE": message if isinstance(message, str | list | None) else json.dumps(message),
    }


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """What the program prints where the journal has these lines."""
    program = tmp_path / "bin" / "journalctl"
    program.parent.mkdir()

    def run(*lines: dict[str, Any], code: int = 0) -> dict[str, Any]:
        text = "".join(json.dumps(each) + "\n" for each in lines)
        program.write_text(
            f"#!{sys.executable}\nimport sys\n"
            f"assert '--namespace=modelrack-gateway' in sys.argv, sys.argv\n"
            f"sys.stdout.write({text!r})\nsys.exit({code} and 'no such journal')\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")
        monkeypatch.setattr(sys, "argv", ["usage.py", "modelrack-gateway"])
        monkeypatch.setattr("os.geteuid", lambda: 0)
        assert usage.main() == bool(code)
        return {} if code else json.loads(capsys.readouterr().out)

    return run


def test_answers_are_summed_by_month_user_team_and_model(said: Any) -> None:
    found = said(
        line(ANSWER),
        line({**ANSWER, "ms": 500, "tokens_in": 1, "tokens_out": 2}),
        line({**ANSWER, "user": "bob", "model": "tiny"}, DECEMBER),
    )
    assert found["since"] == "2026-11-30"
    first, second = found["rows"]
    assert first == {
        "month": "2026-11",
        "user": "alice",
        "team": "research",
        "model": "r1",
        "answers": 2,
        "estimated": 0,
        "tokens_in": 23,
        "tokens_out": 16,
        "ms": 2000,
    }
    assert (second["month"], second["user"], second["model"]) == ("2026-12", "bob", "tiny")


def test_estimated_answers_are_counted_beside_the_others(said: Any) -> None:
    (row,) = said(line(ANSWER), line({**ANSWER, "tokens_in": 0, "estimated": True}))["rows"]
    assert (row["answers"], row["estimated"]) == (2, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"status": 429, "to": "api/<NOSRV>"},
        {"status": 401, "user": "-", "to": "api/<NOSRV>"},
        {"status": 502},
        {"status": -1, "end": "CD"},
        # The list of models, and what is done for the gateway of another machine.
        {"model": "-", "to": "api/<lua.models>"},
        {"to": "local-r1/gpu-01"},
    ],
)
def test_what_is_no_answer_to_a_client_counts_for_nothing(said: Any, other: dict[str, Any]) -> None:
    found = said(line({**ANSWER, **other}), line("[NOTICE] (1) : New worker (2) forked"))
    assert (found["rows"], found["broken"]) == ([], 0)


@pytest.mark.parametrize("message", ['{"user": ', {"status": 200}, {**ANSWER, "tokens_in": "many"}])
def test_a_line_that_cannot_be_read_is_told_of(said: Any, message: Any) -> None:
    found = said(line(message), line(ANSWER), line([255, 254]))
    assert found["broken"] == 1
    assert [row["answers"] for row in found["rows"]] == [1]


def test_a_machine_without_a_gateway_has_nothing(said: Any) -> None:
    assert said() == {"since": None, "broken": 0, "rows": []}


def test_a_journal_that_cannot_be_read_is_no_empty_one(
    said: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    said(code=1)
    assert capsys.readouterr().err == "journalctl cannot read modelrack-gateway: no such journal\n"


def test_another_user_than_root_is_told_to_add_sudo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["usage.py", "modelrack-gateway"])
    assert usage.main() == 1
    assert "Add --sudo" in capsys.readouterr().err
