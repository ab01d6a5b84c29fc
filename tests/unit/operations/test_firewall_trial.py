"""New rules are tried from here: what is said, and when those from before come back."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from deploys.connection import transport
from deploys.facts.firewall import Table
from deploys.operations import firewall

RULES = "table inet modelrack { }"


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is run on the machine: each ends well, with nothing on its output."""
    ran: list[str] = []

    def run(host: Any, arguments: Any, *words: Any, **more: Any) -> tuple[bool, Any]:
        ran.append(" ".join(map(str, words)))
        ok = "BROKEN" not in more.get("_stdin", "")
        return ok, SimpleNamespace(stdout="", stderr="" if ok else "syntax error")

    def answer(host: Any, arguments: Any, *words: Any, limit: int) -> str | None:
        run(host, arguments, *words)
        return ""

    monkeypatch.setattr(transport, "run", run)
    monkeypatch.setattr(transport, "try_command", answer)
    return ran


def tried(rules: str = RULES) -> bool:
    nothing, host = None, SimpleNamespace(print_prefix="[m] ")
    return firewall._on_trial(nothing, host, {}, rules, 60)  # type: ignore[arg-type]


def taken_back(command: str) -> bool:
    return "nft -f /run/modelrack/firewall/before.nft" in command


def test_rules_that_let_a_new_connection_in_stay(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "connects_anew", lambda host: None)
    assert tried()
    (trial,) = ran
    # The timer runs before the rules are loaded.
    timer = trial.index("systemd-run --quiet --collect --unit=modelrack-firewall-undo")
    assert timer < trial.index("\nnft -f /run/modelrack/firewall/new.nft")
    assert "--on-active=60 " in trial


def test_rules_that_let_none_in_are_taken_back_at_once(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transport, "connects_anew", lambda host: "Could not connect (timed out)")
    assert not tried()
    assert taken_back(ran[-1])
    assert "Could not connect (timed out)" in caplog.text
    assert "The rules from before are back. Look at ssh_from" in caplog.text


def test_where_the_old_connection_is_lost_too_the_timer_takes_them_back(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transport, "connects_anew", lambda host: "timed out")
    monkeypatch.setattr(transport, "try_command", lambda *words, limit: None)
    assert not tried()
    assert "The rules from before come back within" in caplog.text


def test_rules_that_nft_refuses_are_never_tried(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transport, "connects_anew", lambda host: pytest.fail("there are none"))
    assert not tried("BROKEN")
    assert "cannot be loaded: syntax error" in caplog.text
    assert taken_back(ran[-1])


@pytest.mark.parametrize("as_wanted", [True, False])
def test_a_trial_that_ends_too_late_is_a_failure(
    as_wanted: bool, ran: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="pyinfra")
    table = Table(loaded=True, as_wanted=as_wanted)
    host: Any = SimpleNamespace(print_prefix="[m] ", get_fact=lambda fact, wanted: table)
    assert firewall._proven(None, host, {}, RULES, 60) == as_wanted  # type: ignore[arg-type]
    assert "rm -rf /run/modelrack/firewall" in ran[0]
    assert ("could not be proven within 60 s" in caplog.text) == (not as_wanted)
