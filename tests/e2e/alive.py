"""What is killed comes back: each process of a running unit in turn, as the kernel would do it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable

from tests.lab.machine import Machine

# Seconds: systemd waits before it starts a program again, and an engine loads its model.
PATIENCE = 600


def survives(machine: Machine, unit: str, serves: Callable[[], bool]) -> list[str]:
    """Kill the processes of a unit one by one, the first one last; each time it serves again.

    + serves: whether it does now, as one who asks sees it
    Returns the names of what was killed, in their order.
    """
    assert serves(), f"{unit} does not even serve now"
    killed = [name for _, name in reversed(processes(machine, unit))]
    for at, name in enumerate(killed):
        # The same one of those with its name, which may be there for the second time by now.
        alike = [pid for pid, other in processes(machine, unit) if other == name]
        before = killed[at + 1 :].count(name)
        assert len(alike) > before, f"{name} did not come back with {unit}"
        victim = alike[before]
        machine.ssh(f"kill -KILL {victim}")
        _wait(lambda pid=victim: pid not in dict(processes(machine, unit)), f"{name} lives on")
        _wait(serves, f"{unit} does not serve again after its {name} was killed")
    return killed


def processes(machine: Machine, unit: str) -> list[tuple[int, str]]:
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


def _wait(reached: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
