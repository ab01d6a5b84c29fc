"""What is killed comes back: each process of a running unit in turn, as the kernel would do it."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol


class Reached(Protocol):
    """A machine that runs a command of a shell, as tests/lab/machine.py's do."""

    def ssh(self, command: str, *, check: bool = ...) -> subprocess.CompletedProcess[str]: ...


class Killed(NamedTuple):
    """The name of a process that was, and the seconds until its unit served again."""

    process: str
    seconds: float


# Seconds: systemd waits before it starts a program again, and an engine loads its model.
PATIENCE = 600


def survives(
    machine: Reached, unit: str, serves: Callable[[], bool], only: Collection[str] = ()
) -> list[Killed]:
    """Kill the processes of a unit one by one, the first one last; each time it serves again.

    + serves: whether it does now, as one who asks sees it
    + only: processes of these names alone; empty: all of them
    Returns what was killed, in its order.
    """
    assert serves(), f"{unit} does not even serve now"
    first, names = _main(machine, unit), [name for _, name in reversed(processes(machine, unit))]
    killed = []
    for at, name in enumerate(names):
        if only and name not in only:
            continue
        # The same one of those with its name, which may be there for the second time by now.
        alike = [pid for pid, other in processes(machine, unit) if other == name]
        before = names[at + 1 :].count(name)
        if len(alike) <= before:
            # A helper may have done its work and be gone, unless all of them were started anew.
            assert _main(machine, unit) == first, f"{name} did not come back with {unit}"
            continue
        victim = alike[before]
        # Each of them on a day of its own: a unit gives up after so many starts in a few hours.
        machine.ssh(f"systemctl reset-failed {unit} && kill -KILL {victim}")
        begun = time.monotonic()
        _wait(lambda pid=victim: pid not in dict(processes(machine, unit)), f"{name} lives on")
        _wait(serves, f"{unit} does not serve again after its {name} was killed")
        killed.append(Killed(name, round(time.monotonic() - begun, 1)))
    return killed


def processes(machine: Reached, unit: str) -> list[tuple[int, str]]:
    """Ids and names of all processes of a unit, as they were started."""
    group = machine.ssh(f"systemctl show --value --property=ControlGroup {unit}").stdout.strip()
    folder = shlex.quote(f"/sys/fs/cgroup{group}")
    listed = machine.ssh(
        f"for pid in $(find {folder} -name cgroup.procs -exec cat {{}} + | sort -n);"
        ' do ps -o pid=,comm= -p "$pid"; done',
        check=False,
    )
    found = [line.split(maxsplit=1) for line in listed.stdout.splitlines()]
    return [(int(pid), name) for pid, name in found]


def _main(machine: Reached, unit: str) -> str:
    return machine.ssh(f"systemctl show --value --property=MainPID {unit}").stdout.strip()


def _wait(reached: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
