"""A server that is ended once one of its workers is gone, where it would go on without it.

    modelrack.pyz guard sglang:: -- COMMAND ...

Workers are processes of the same control group whose titles begin with the first word. The server
ends as it was told to: signals are handed on to it, and its exit status becomes this program's.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from ..lib.failure import Failure

# Seconds between two looks, and until a server that has lost a worker is killed.
LOOK_EVERY, GRACE = 1.0, 20.0
_HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(title: str, command: Sequence[str]) -> int:
    """Run the server until it ends, or until a worker is gone; return the exit status."""
    try:
        server = subprocess.Popen(command)
    except OSError as error:
        raise Failure(f"{command[0]} cannot be started: {error.strerror}") from error
    told = False

    def hand_on(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        server.send_signal(number)

    for number in _HANDED_ON:
        signal.signal(number, hand_on)
    seen: set[int] = set()
    while server.poll() is None:
        found = _workers(title)
        if seen - found and not told and server.poll() is None:
            print(
                f"a worker ({title}) is gone, so the server is ended", file=sys.stderr, flush=True
            )
            _end(server)
            return 1
        seen |= found
        time.sleep(LOOK_EVERY)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _workers(title: str) -> set[int]:
    """Return the processes of this control group with such a title; the dead have none."""
    own, found = _group("self"), set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(title.encode()) and (
                _group(folder.name) == own
            ):
                found.add(int(folder.name))
        except OSError:
            continue  # It has ended, or is not ours to look at.
    return found


def _group(process: str) -> bytes:
    return Path("/proc", process, "cgroup").read_bytes()


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(GRACE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
