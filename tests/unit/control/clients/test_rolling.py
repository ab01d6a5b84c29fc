"""What waves are made of."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from deploys.control.clients import rolling
from deploys.planning.inputs.refusal import Refusal


def test_hosts_are_listed_with_the_data_that_they_are_deployed_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def listed(inventory: str, *options: str) -> list[dict[str, Any]]:
        asked.extend((inventory, *options))
        return [{"name": "a", "data": {}}, {"name": "b", "data": {}}]

    monkeypatch.setattr(rolling.services, "listed", listed)
    more = ["--sudo", "--data", "model=x", "--group-data", "folder", "--data=driver=none", "-v"]
    found = rolling.planned("i.py", "1,100%", None, more)
    assert [wave.machines for wave in found] == [["a"], ["b"]]
    wanted = ["--data", "model=x", "--group-data", "folder", "--data=driver=none"]
    assert asked == ["i.py", *wanted]


def test_options_that_the_waves_are_made_with_are_refused() -> None:
    with pytest.raises(Refusal, match="are what the waves are made with"):
        rolling.planned("i.py", "1", None, ["--limit", "a"])


WAVE = rolling.Wave(["b", "c"], ["a"])


def test_gateways_are_told_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command[3:])
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(rolling.subprocess, "run", run)
    told = ["i.py", "deploys/drain.py", "-y", "--parallel", "1", "--limit", "a", "--data"]
    # What could not be done everywhere is taken back.
    assert rolling.drain("i.py", WAVE, ["--sudo"]) == 3
    assert ran == [[*told, "away=b,c", "--sudo"], [*told, "back=b,c", "--sudo"]]
    assert rolling.put_back("i.py", WAVE, []) == 3
    assert ran[2:] == [[*told, "back=b,c"]]
    again = "pyinfra i.py deploys/drain.py -y --limit a --data back=b,c --sudo"
    said = rolling.next_step(["i.py", "full.py", "--after", "a"], WAVE, ["--sudo"])
    assert "python -m deploys.roll i.py full.py --after a -- --sudo\n" in said
    assert said.endswith(f"to have that done all the same: {again}")


def test_without_a_gateway_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "subprocess", None)
    alone = rolling.Wave(["b"], [])
    assert rolling.drain("i.py", alone, []) == rolling.put_back("i.py", alone, []) == 0
