"""What tests/e2e/alive.py says of processes that come back, or do not, or are gone anyway."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.e2e import alive

MAIN, WORKER, HELPER = (1, "python"), (2, "sglang::schedul"), (3, "python")


class Scripted:
    """A machine with one unit, which starts everything anew when one of its processes is killed."""

    def __init__(self, *again: tuple[int, str]) -> None:
        self.again, self.now, self.looks = list(again), [MAIN, WORKER, HELPER], 0

    def ssh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        said = "/unit"
        if "MainPID" in command:
            said = str(self.now[0][0])
        elif killed := re.search(r"kill -KILL (\d+)", command):
            if int(killed[1]) in dict(self.now):
                self.now = [(pid + 10, name) for pid, name in self.again]
                self.again = self.now
        elif "ps -o" in command:
            said = "".join(f"{pid} {name}\n" for pid, name in self.now)
            self.looks += 1
            # It has done its work after the first look.
            self.now = [process for process in self.now if process != HELPER]
        return subprocess.CompletedProcess(command, 0, said)


def test_a_helper_that_is_gone_by_itself_is_passed_over() -> None:
    killed = alive.survives(Scripted(MAIN, WORKER), "unit", lambda: True)
    assert [each.process for each in killed] == ["sglang::schedul", "python"]


def test_what_does_not_come_back_is_named() -> None:
    with pytest.raises(AssertionError, match="python did not come back with unit"):
        alive.survives(Scripted((4, "other")), "unit", lambda: True)
