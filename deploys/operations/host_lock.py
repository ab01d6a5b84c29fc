"""One run at a time per machine.

The lock is a file lock held by a small program on the machine, for as long as this run keeps its
standard input open and writes to it. When the run ends, is killed, or is disconnected for 90
seconds, the lock is released: there is no stale lock to break.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
import time
from collections.abc import Generator

from pyinfra import host, state
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import programs, transport

PATH = "/run/modelrack/lock"
# Seconds without a sign of life after which the lock is given up.
_LEASE = 90
# Seconds for which a run that has just ended may still hold it.
_GRACE = 3.0
# What notes at a host that this run has it.
_OURS = "modelrack_locked"


@operation()
def acquire() -> Generator[PyinfraCommand, None, None]:
    """
    Lock this machine against other runs until this one ends.

    Taking the lock changes nothing on the machine, so it does not count as a change.
    """
    if not state.is_executing:
        host.noop("the lock is taken when the run begins")
        return
    other = _acquire()
    if other is None:
        host.connector_data[_OURS] = True
        host.noop("the lock is ours")
        return
    yield transport.fail(f"{other}. Nothing was changed; run this again when that is done.")


def reacquire() -> str | None:
    """Take the lock again after a reboot, which released it; return who has it instead, or None.

    Does nothing if this run did not hold the lock.
    """
    other = _acquire() if host.connector_data.get(_OURS) else None
    return f"after the reboot, {other}. Run this again when that is done." if other else None


def _acquire() -> str | None:
    """Take the lock and return None, or return who holds it."""
    owner = {
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "command": " ".join(sys.argv)[:200],
    }
    command = programs.inline(
        "lib.lock", "hold", "--owner", json.dumps(owner), "--lease", _LEASE, PATH
    )
    started = time.monotonic()
    while True:
        line = transport.keep_alive(
            host, host.current_op_global_arguments or {}, command, every=_LEASE / 4
        ).first_line
        if line == "held":
            return None
        if time.monotonic() - started > _GRACE:
            return _who(line)
        transport.pause(0.5)


def _who(line: str) -> str:
    try:
        other = json.loads(line)
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(other["since"]))
        return (
            f"{other['user']} on {other['host']} (process {other['pid']}) is at work on this"
            f" machine since {since}: {other['command']}"
        )
    except (ValueError, KeyError, TypeError):
        return f"the lock {PATH} could not be taken: {line or 'no answer'}"
