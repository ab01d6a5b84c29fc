"""A machine that is rebooted is watched from here: what is said, and when it counts as back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from deploys.connection import transport
from deploys.operations import driver, host_lock

OLD, NEW = "d0c5\n100", "d0c5\n900"  # In a container only the start of the first process differs.


class _Machine:
    """Answers the same question differently from one second to the next."""

    def __init__(self, boots: Iterator[str | None], state: str = "running", jobs: str = "") -> None:
        self.boots, self.state, self.jobs = boots, state, jobs
        self.now = 0.0
        self.ran: list[str] = []
        self.print_prefix = "[m] "
        self.connector = SimpleNamespace()

    def answer(self, host: Any, arguments: Any, *words: Any, limit: int) -> str | None:
        if "list-units" in words[0]:
            return self.jobs
        return self.state if "is-system-running" in words[0] else next(self.boots)


def _boots(*answers: str | None) -> Iterator[str | None]:
    """The last one for ever."""
    yield from answers
    while True:
        yield answers[-1]


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    """Reboots a machine; returns whether that worked, and all that was said."""

    def act(machine: _Machine, limit: int = 60, lock: str | None = None) -> tuple[bool, str]:
        def pause(seconds: float) -> None:
            machine.now += seconds

        monkeypatch.setattr(transport, "try_command", machine.answer)
        monkeypatch.setattr(transport, "pause", pause)
        monkeypatch.setattr(transport, "run", lambda *words: machine.ran.append(str(words[2])))
        monkeypatch.setattr(driver.time, "monotonic", lambda: machine.now)
        monkeypatch.setattr(host_lock, "reacquire", lambda: lock)
        with caplog.at_level(logging.INFO, logger="pyinfra"):
            nothing: Any = None
            done = driver._reboot(nothing, machine, {}, "580.178.04", limit)  # type: ignore[arg-type]
        return done, caplog.text

    return act


def test_it_goes_down_and_comes_back(act: Any) -> None:
    machine = _Machine(_boots(OLD, OLD, OLD, *[None] * 40, NEW))
    done, said = act(machine)
    assert done and "systemctl reboot" in machine.ran[0]
    assert "has not come back for 15 s" in said and "it is back after 43 s" in said


def test_another_boot_id_is_another_boot_too(act: Any) -> None:
    assert act(_Machine(_boots(OLD, None, "beef\n100")))[0]


def test_one_that_answers_from_before_is_not_back(act: Any) -> None:
    done, said = act(_Machine(_boots(OLD)))
    assert not done
    assert "was told to reboot and has not for 60 s" in said and "systemctl list-jobs" in said


def test_one_that_never_comes_back(act: Any) -> None:
    done, said = act(_Machine(_boots(OLD, OLD, None)), limit=1800)
    assert not done
    assert "has not come back within 1800 s of its reboot. Look at its console" in said
    assert said.count("has not come back for") == 1800 // 15


def test_one_that_does_not_finish_starting(act: Any) -> None:
    done, said = act(_Machine(_boots(OLD, NEW), state="starting"))
    assert not done
    assert "is back, and still starting after 60 s" in said


def test_a_failed_service_does_not_keep_it_from_being_back(act: Any) -> None:
    assert act(_Machine(_boots(OLD, NEW), state="degraded\n"))[0]


def test_a_job_of_ours_keeps_it_from_being_rebooted(act: Any) -> None:
    machine = _Machine(_boots(OLD), jobs="modelrack-job-fetch-r1.service loaded active running")
    done, said = act(machine)
    assert not done and not machine.ran
    assert "a job of ours runs on this machine (modelrack-job-fetch-r1.service)" in said


def test_somebody_may_take_the_lock_meanwhile(act: Any) -> None:
    done, said = act(_Machine(_boots(OLD, NEW)), lock="li on desk is at work on this machine")
    assert not done and "li on desk is at work" in said


def test_the_computer_that_watches_is_not_rebooted(
    act: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "is_local", lambda host: True)
    machine = _Machine(_boots(OLD))
    done, said = act(machine)
    assert not done and not machine.ran
    assert "Reboot it, then run this again" in said
