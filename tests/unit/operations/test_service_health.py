"""What is said of a service that is slow or does not answer, by what its machine reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api import StringCommand

from deploys.connection import transport
from deploys.operations.services import health
from deploys.operations.services.unit import Unit
from tests.unit import case_commands

UNIT = Unit(
    name="llama-server@r1.service",
    engine="llama.cpp",
    files=(),
    digest="0123",
    url="http://127.0.0.1:8080",
    model="r1",
    context=4096,
    measured="/var/lib/modelrack/services/r1.json",
    min_tokens_per_second=30,
    patience=60,
)
STATE = {
    "load": "loaded",
    "active": "active",
    "enabled": "enabled",
    "reload": "no",
    "pid": "7",
    "restarts": "0",
    "digest": "0123",
    "stale": False,
    "answer": "ok",
    "wrong": False,
    "measured": {},
}
HOST: Any = SimpleNamespace(print_prefix="")
Machine = Callable[..., list[str]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Sets what programs on the machine answer; returns what is said, as it is said.

    + states: one after the other, the last one for ever
    + figures: None where measuring fails
    """
    case_commands.name_programs(monkeypatch)
    said: list[str] = []
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(health, "logger", _Logger(said))
    monkeypatch.setattr(health.time, "monotonic", lambda: clock.now)

    def pause(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(transport, "pause", pause)

    def set_up(
        *states: dict[str, Any], figures: dict[str, Any] | None = None, journal: str = ""
    ) -> list[str]:
        left = list(states)

        def run(host: Any, arguments: Any, *words: Any) -> tuple[bool, Any]:
            command = StringCommand(*words).get_raw_value()
            lines = journal.splitlines()
            if "<services.units>" in command:
                state = left.pop(0) if len(left) > 1 else left[0]
                lines = [json.dumps({UNIT.name: {**STATE, **state}})]
            elif "<services.measure>" in command:
                lines = [json.dumps(figures)]
            else:
                assert "journalctl" in command
                if "--since -" in command:
                    said.append(command.split("--since ")[1].split()[0])
            ok = "<services.measure>" not in command or figures is not None
            error = "" if ok else "HTTP status 500"
            return ok, SimpleNamespace(stdout_lines=lines, stderr=error)

        monkeypatch.setattr(transport, "run", run)
        return said

    return set_up


class _Logger:
    def __init__(self, said: list[str]) -> None:
        self.info = self.warning = self.error = said.append


def _wait(restarted: float | None = None) -> bool:
    return health.wait_until_it_answers(None, HOST, {}, UNIT, restarted)  # type: ignore[arg-type]


def _measure() -> bool:
    return health.measure(None, HOST, {}, UNIT, None)  # type: ignore[arg-type]


def _figures(speed: float) -> dict[str, Any]:
    return {"first_token_ms": 80.0, "tokens_per_second": speed, "digest": "0123"}


def test_a_fast_service_is_reported(machine: Machine) -> None:
    said = machine(figures=_figures(40))
    assert _measure()
    assert said == [f"{UNIT.name}: 80 ms to the first token, then 40 tokens per second"]


def test_less_than_planned_is_a_warning(machine: Machine) -> None:
    said = machine(figures=_figures(12.5))
    assert _measure()
    (line,) = said
    assert line.startswith(
        f"{UNIT.name} is slow: one request alone gets 12.5 tokens per second, and 30 are planned."
    )


def test_less_than_a_third_of_it_fails_with_the_reason(machine: Machine) -> None:
    said = machine(
        figures=_figures(9.9),
        journal="E ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
    )
    assert not _measure()
    (line,) = said
    assert "does not run as planned. llama.cpp sees no GPU" in line
    assert f"journalctl -u {UNIT.name}" in line


def test_what_answers_nobody_is_not_measured(machine: Machine) -> None:
    said = machine(figures=None)
    beside = replace(UNIT, url=None, model=None, measured=None)
    assert health.measure(None, HOST, {}, beside, None)  # type: ignore[arg-type]
    assert said == []


def test_what_cannot_be_measured_fails(machine: Machine) -> None:
    said = machine(journal="one\ntwo")
    assert not _measure()
    assert said[:2] == ["  one", "  two"]
    assert f"{UNIT.name} cannot be measured: HTTP status 500" in said[-1]


def test_a_service_that_stays_up_is_well(machine: Machine) -> None:
    said = machine({"active": "activating", "answer": "no answer: refused"}, {})
    assert _wait()
    assert said == [f"{UNIT.name} answers as r1 on {UNIT.url}"]


def test_what_answers_is_looked_at_once_more(machine: Machine) -> None:
    machine({}, {}, {"active": "failed"})
    assert _wait()
    said = machine({}, {"pid": "8", "restarts": "1"}, {"active": "failed"})
    assert not _wait()
    assert "stopped: it is failed" in said[-1]


def test_a_known_failure_is_one_line_and_one_sentence(machine: Machine) -> None:
    line = "E srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080"
    said = machine({"active": "failed"}, journal="\n".join(["noise"] * 300 + [line, "noise"]))
    assert not _wait()
    assert said == [
        f"  {line}",
        f"{UNIT.name} stopped: it is failed. Another process has port 8080: stop it (ss -ltnp"
        " 'sport = :8080' names it), or give the service another port."
        f" Its journal: journalctl -u {UNIT.name}",
    ]


def test_of_an_unknown_failure_the_last_lines_are_shown(machine: Machine) -> None:
    said = machine({"active": "failed"}, journal="\n".join(f"line {n}" for n in range(300)))
    assert not _wait()
    assert said[:-1] == [f"  line {n}" for n in range(280, 300)]
    assert said[-1].endswith(f"stopped: it is failed. Its journal: journalctl -u {UNIT.name}")


def test_what_keeps_stopping_is_explained_by_all_that_it_said(machine: Machine) -> None:
    """The latest start may have said nothing yet."""
    starting = {"active": "activating", "answer": "no answer"}
    tries = [{**starting, "restarts": str(n)} for n in (0, 0, 1, 1, 2, 2, 3)]
    line = "E srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080"
    said = machine(*tries, journal=line)
    assert not _wait(restarted=-5.0)
    since, _, reason = said
    assert since == "-9.0s"  # 5 s before the first look, 3 s of looking, 1 s under way
    assert reason.startswith(f"{UNIT.name} keeps stopping. Another process has port 8080")


def test_what_it_has_outlived_before_this_run_is_no_failure_of_it(machine: Machine) -> None:
    loading = {"answer": "no answer: refused", "restarts": "4"}
    said = machine(loading, loading, {"restarts": "4"})
    assert _wait()
    assert said == [f"{UNIT.name} answers as r1 on {UNIT.url}"]


def test_what_waiting_cannot_change_is_not_waited_for(machine: Machine) -> None:
    wrong = {"answer": "a request may take 256 tokens instead of 512", "wrong": True}
    said = machine(wrong)
    assert not _wait()
    (line,) = said
    assert "set context=256 or less" in line


def test_another_answer_in_passing_is_not_the_end(machine: Machine) -> None:
    """The one before may still answer for a moment."""
    machine({"answer": "it serves r0 instead of r1", "wrong": True}, {"answer": "no answer"}, {})
    assert _wait()


def test_the_head_waits_for_no_machine_that_the_run_has_given_up(machine: Machine) -> None:
    said = machine({"answer": "no answer: refused"})
    lost: Any = SimpleNamespace(failed_hosts=[SimpleNamespace(name="gpu-02")])
    head = replace(UNIT, group=("gpu-02", "gpu-03"))
    assert not health.wait_until_it_answers(lost, HOST, {}, head, None)
    assert "is served together with gpu-02, which failed in this run" in said[-1]


def test_beside_the_head_it_is_enough_to_run(machine: Machine) -> None:
    said = machine({})
    whole: Any = SimpleNamespace(failed_hosts=[])
    beside = replace(UNIT, url=None, model=None, measured=None, group=("gpu-01",))
    assert health.wait_until_it_answers(whole, HOST, {}, beside, None)
    assert said[-1] == f"{UNIT.name} runs"
