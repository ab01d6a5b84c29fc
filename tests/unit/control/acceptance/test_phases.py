"""Phases as they go on: one that breaks off is a failure and holds up no other."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploys.control.acceptance import evalscope, load, phases
from deploys.control.acceptance.machine import Unmeasured
from deploys.control.acceptance.session import AcceptanceSession, file_name
from deploys.planning.acceptance.check import AcceptanceCheck, is_accepted
from deploys.planning.acceptance.limits import limits_of

HOST: Any = SimpleNamespace(print_prefix="[m] ", name="m")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> AcceptanceSession:
    nothing: Any = SimpleNamespace(refusals=(), services=())
    made = AcceptanceSession(nothing, nothing, nothing, limits_of(None))
    monkeypatch.setattr(phases, "session_of", lambda host: made)
    return made


def test_a_phase_that_breaks_off_keeps_what_it_has_and_fails(
    session: AcceptanceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(host: Any, arguments: Any, session: Any) -> phases.PhaseChecks:
        yield AcceptanceCheck(phase="cards", name="count")
        raise Unmeasured("the connection was lost")

    monkeypatch.setitem(phases._PHASES, "cards", breaks)
    phases.run(HOST, {}, "cards")
    assert [check.result for check in session.checks] == ["passed", "not run"]
    assert session.checks[-1].why() == "it could not be looked at: the connection was lost"
    assert not is_accepted(session.checks)
    assert session.measured["seconds"]["cards"] >= 0


SAID = {
    **{"Total Requests": 8, "Failed Requests": 1, "Output Throughput (tok/s)": 46.7},
    **{"Avg TTFT (ms)": 217.2, "Avg TPOT (ms)": 20.0, "Avg Input Tokens": 28.7},
    "Avg Output Tokens": 32.0,
}


def test_figures_are_read_from_the_json_of_evalscope(tmp_path: Path) -> None:
    folder = tmp_path / "r1" / "parallel_4_number_8"
    folder.mkdir(parents=True)
    (folder / "benchmark_summary.json").write_text(json.dumps(SAID))
    found = evalscope.read(tmp_path, 4)
    assert (found["asked"], found["failed"], found["per_user"]) == (8, 1, 50.0)
    with pytest.raises(ValueError, match="nothing of 16 requests"):
        evalscope.read(tmp_path, 16)
    silent = {**SAID, "Avg TPOT (ms)": 0}
    (folder / "benchmark_summary.json").write_text(json.dumps(silent))
    assert evalscope.read(tmp_path, 4)["per_user"] == 0


def test_prompts_have_the_length_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    # A service that takes 3 tokens for a word, and 20 for its template.
    monkeypatch.setattr(load, "_tokens", lambda url, model, text: 20 + 3 * len(text.split()))
    words = load._words("", {"served": "r1", "prompt": 320}, load.random.Random(1))
    assert words == 100
    one, other = (load._text(load.random.Random(seed), words) for seed in (1, 2))
    assert len(one.split()) == len(other.split()) == 100
    assert one.split()[0] != other.split()[0]


def test_a_report_is_called_as_its_host() -> None:
    assert file_name("unit-01.lab") == "unit-01.lab"
    assert file_name("@chroot/srv/tree") == "chroot_srv_tree"
