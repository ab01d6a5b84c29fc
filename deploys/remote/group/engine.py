"""The program of one node of a group, and all processes that it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence

from ..lib.failure import Failure

# What systemd says to its main process alone.
_OURS = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "CREDENTIALS_DIRECTORY")
# Seconds until what was told to end is killed: a unit that is stopped has two minutes, and a group
# that has lost a node has nothing to finish.
TOLD, LOST = 100.0, 10.0


def environment() -> dict[str, str]:
    """Return the environment of what this program starts."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}


class EngineProgram:
    """The program, in a process group of its own."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(
                command, env=environment(), start_new_session=True, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            raise Failure(f"{command[0]} cannot be started: {error.strerror}") from error

    def ended(self) -> str | None:
        """Return how it has ended, or None if it has not."""
        code = self._process.poll()
        if code is None:
            return None
        if code >= 0:
            return f"the engine has ended with status {code}"
        return f"the engine was ended by {signal.Signals(-code).name}"

    def end(self, patience: float) -> None:
        """Have it end, and kill what is left of its process group after so many seconds."""
        if self._process.poll() is None:
            self._process.terminate()
        until = time.monotonic() + patience
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
