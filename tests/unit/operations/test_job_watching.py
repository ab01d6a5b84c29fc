"""A job is watched from here: what is said about it, and when it counts as failed."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api import StringCommand

from deploys.connection import transport
from deploys.facts.jobs import Status
from deploys.operations import job

GIB = 1 << 30


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "an unknown time"),
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_a_duration_reads(seconds: float | None, text: str) -> None:
    assert job._duration(seconds) == text


def _progress(done: int, total: int = 4 * GIB, **fields: Any) -> Status:
    progress = {"done": done, "total": total, "unit": "B", "step": "fetch", **fields}
    return Status(state="running", progress=progress, elapsed=5)


def test_two_looks_make_a_speed() -> None:
    rate = job._Rate()
    assert rate.line(_progress(GIB), 10.0) == "fetch 1.0 GiB of 4.0 GiB (25 %)"
    line = rate.line(_progress(2 * GIB), 20.0)
    assert line == "fetch 2.0 GiB of 4.0 GiB (50 %), 102.4 MiB/s, 20 s left"


def test_a_step_that_begins_again_has_a_speed_of_its_own() -> None:
    rate = job._Rate()
    rate.line(_progress(3 * GIB), 0.0)
    assert "/s" not in rate.line(_progress(0, step="verify"), 100.0)
    assert "102.4 MiB/s" in rate.line(_progress(GIB, step="verify"), 110.0)


def test_steps_have_no_bytes() -> None:
    rate = job._Rate()
    rate.line(_progress(0, 200, unit="steps", step=None), 0.0)
    line = rate.line(_progress(100, 200, unit="steps", step=None), 60.0)
    assert line == "step 100 of 200 (50 %), 1 min 0 s left"


@pytest.mark.parametrize("progress", [None, {}, {"done": 0, "total": 0, "unit": "B"}])
def test_without_a_total_the_time_is_reported(progress: dict[str, Any] | None) -> None:
    assert job._Rate().line(Status(progress=progress, elapsed=61), 0.0) == "running for 1 min 1 s"


class _Clock:
    """Seconds that pass only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="pyinfra")
    return caplog


def _watch(
    monkeypatch: pytest.MonkeyPatch,
    answers: Sequence[dict[str, Any] | Exception | None],
    unit: str = "active",
) -> bool:
    """Watch a job that answers as told, None or an error for an answer that does not come.

    + unit: what systemd says of its unit
    """
    clock, left = _Clock(), iter([*answers, *[answers[-1]] * 1000])

    def run(host: Any, arguments: Any, *words: Any, **overrides: Any) -> tuple[bool, Any]:
        if "is-active" in words:
            return unit == "active", SimpleNamespace(stdout_lines=[unit])
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        line = {"exit": None, "progress": None, "tail": [], "elapsed": 3, **(answer or {})}
        return answer is not None, SimpleNamespace(stdout_lines=[json.dumps(line)])

    monkeypatch.setattr(transport, "run", run)
    monkeypatch.setattr(transport, "pause", clock.pause)
    monkeypatch.setattr(job, "time", clock)
    host: Any = SimpleNamespace(print_prefix="[machine] ")
    watching = job._watch(SimpleNamespace(), host, {}, "fetch-1", "/jobs/fetch-1")  # type: ignore[arg-type]
    assert clock.now < 300
    return watching


RUNNING = {"state": "running"}


def test_a_job_that_ends_well(
    monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    none, done = {"state": "none"}, {"state": "done", "exit": 0, "elapsed": 75}
    assert _watch(monkeypatch, [none, none, RUNNING, RUNNING, done])
    assert said.messages[-1] == "[machine] fetch-1: done in 1 min 15 s"


def test_a_job_that_fails_says_its_last_words(
    monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    failed = {"state": "failed", "exit": 3, "tail": ["no space left"]}
    assert not _watch(monkeypatch, [RUNNING, failed])
    assert "[machine] no space left" in said.messages
    assert "fetch-1 failed with exit code 3" in said.messages[-1]
    assert "/jobs/fetch-1/log on the machine; run this again" in said.messages[-1]


@pytest.mark.parametrize("state", ["lost", "none"])
def test_a_job_that_is_gone_with_its_unit_is_given_up(
    state: str, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    assert not _watch(monkeypatch, [{"state": state}], unit="inactive")
    assert "fetch-1 was stopped" in said.messages[-1]


@pytest.mark.parametrize("state", ["lost", "none"])
def test_a_slow_machine_may_take_long_to_begin(
    state: str, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    looks = [*[{"state": state}] * 60, RUNNING, {"state": "done", "exit": 0, "elapsed": 75}]
    assert _watch(monkeypatch, looks)


def test_a_job_that_ends_between_two_looks_was_not_stopped(
    monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    assert _watch(monkeypatch, [{"state": "none"}, {"state": "done", "exit": 0}], unit="inactive")


def test_progress_is_reported_now_and_then_and_not_twice(
    monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    half = {**RUNNING, "progress": {"done": 1, "total": 2, "unit": "steps", "step": "compile"}}
    assert _watch(monkeypatch, [*[half] * 60, {"state": "done"}])
    assert [line for line in said.messages if "50 %" in line] == [
        "[machine] fetch-1: compile 1 of 2 (50 %)"
    ]


@pytest.mark.parametrize("silent", [1, 3, job._SILENCE - 1])
def test_a_few_looks_without_an_answer_are_not_the_end_of_a_job(
    silent: int, monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    misses = [None] * silent
    # Each answer begins the count anew.
    looks = [*misses, RUNNING, *misses, *[RUNNING] * 20, *misses, {"state": "done", "elapsed": 61}]
    assert _watch(monkeypatch, looks)
    assert said.messages[-1] == "[machine] fetch-1: done in 1 min 1 s"
    assert {record.levelname for record in said.records} == {"INFO"}


def test_a_machine_that_stays_silent_is_given_up_and_its_job_is_not(
    monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    assert not _watch(monkeypatch, [RUNNING, *[None] * job._SILENCE, {"state": "done"}])
    (message,) = said.messages
    assert "does not say how fetch-1 is. It goes on there; run this again to watch it" in message


def test_a_look_that_times_out_is_a_look_without_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _watch(monkeypatch, [*[RUNNING] * 3, TimeoutError(), RUNNING, {"state": "done"}])


@pytest.mark.parametrize(
    "answer", [None, {"state": "none"}, {"state": "lost"}, {"state": "failed"}]
)
def test_a_job_that_is_not_seen_running_is_started(
    answer: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = _commands(monkeypatch, answer)
    assert _start()
    (status, start) = commands
    assert "job status" in status
    assert "rm -f /jobs/fetch-1/exit && systemd-run" in start


def test_a_job_that_is_seen_running_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch, said: pytest.LogCaptureFixture
) -> None:
    commands = _commands(monkeypatch, RUNNING)
    assert _start()
    assert len(commands) == 1
    assert said.messages == ["[machine] fetch-1 is running already, watching it"]


def _start() -> bool:
    host: Any = SimpleNamespace(print_prefix="[machine] ")
    return job._start(SimpleNamespace(), host, {}, "fetch-1", "/jobs/fetch-1", "work")  # type: ignore[arg-type]


def _commands(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | None) -> list[str]:
    """What is run on a machine whose job stands as told, None where it does not say."""
    commands: list[str] = []

    def run(host: Any, arguments: Any, *words: Any, **overrides: Any) -> tuple[bool, Any]:
        commands.append(StringCommand(*words).get_raw_value())
        line = {"exit": None, "progress": None, "tail": [], **(answer or {})}
        is_look = "status" in commands[-1]
        printed = [json.dumps(line)] if is_look and answer else []
        return bool(answer) or not is_look, SimpleNamespace(stdout_lines=printed, stderr="")

    monkeypatch.setattr(transport, "run", run)
    return commands


def test_a_job_that_no_unit_outlives_may_take_longer_than_other_commands() -> None:
    """In the tree of an image it is the command itself: weights of a disk's size, a compiler."""
    *_, work = job.running("fetch", ["true"], systemd=False)
    assert work.connector_arguments["_timeout"] > 24 * 3600 > transport.COMMAND_TIMEOUT
