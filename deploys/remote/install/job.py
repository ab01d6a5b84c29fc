"""A long step on the machine that runs to its end even if the operator's connection is lost.

The job's directory has `lock` (held while it runs), `started`, `log` (`log.1` from the run before),
`progress`, and at the end `elapsed` and `exit`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from ..lib.durable import replace
from ..lib.lock import HELD, Taken, held, is_held
from ..lib.unproven import boot_id

STOPPED = 128 + signal.SIGTERM
NOT_FOUND = 127
GRACE = 20.0
TAIL_BYTES = 64 << 10
STEP = re.compile(rb"^\[(\d+)/(\d+)\]", re.MULTILINE)  # ninja


def run(directory: Path, command: Sequence[str]) -> int:
    """Run `command`, write its exit code to `exit` and return it; HELD if it runs already.

    On SIGTERM the command's process group is terminated and the code is 143.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    try:
        with held(directory / "lock"):
            return _run(directory, command)
    except Taken:
        print(f"the job in {directory} is running already", flush=True)
        return HELD


def status(directory: Path, tail: int) -> dict[str, Any]:
    """Return the state of the job: none, running, done, failed, or lost (killed, or a reboot).

    With it come the exit code, the progress, the last `tail` lines of the log, when the job
    started, and the seconds it has taken.
    """
    running = is_held(directory / "lock")
    started = _json(directory / "started")
    code = _number(directory / "exit")
    if running:
        state = "running"
    elif not started:
        state = "none"
    elif code is None:
        state = "lost"
    else:
        state = "failed" if code else "done"
    log = _end_of(directory / "log")
    return {
        "state": state,
        "exit": None if running else code,
        "progress": _json(directory / "progress") or _steps(log),
        "tail": log.decode(errors="replace").splitlines()[-tail:] if tail > 0 else [],
        "started": started["epoch"] if started else None,
        "elapsed": _elapsed(directory, started, running),
    }


class _Stop(BaseException):
    pass


def _run(directory: Path, command: Sequence[str]) -> int:
    for name in ("exit", "elapsed", "progress", "started"):
        (directory / name).unlink(missing_ok=True)
    log = directory / "log"
    if log.exists():
        log.replace(directory / "log.1")
    clock = time.clock_gettime(time.CLOCK_BOOTTIME)
    started = {"epoch": int(time.time()), "boot": boot_id(), "clock": clock}
    replace(directory / "started", json.dumps(started).encode(), mode=0o600)
    with log.open("ab", buffering=0) as output:
        try:
            signal.signal(signal.SIGTERM, _stop)
            code = _child(directory, command, output.fileno())
        except _Stop:
            code = STOPPED
        except OSError as error:
            output.write(f"{command[0]}: {error.strerror}\n".encode())
            code = NOT_FOUND
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from here on only the record is written
    elapsed = time.clock_gettime(time.CLOCK_BOOTTIME) - clock
    replace(directory / "elapsed", f"{elapsed:.0f}\n".encode(), mode=0o600)
    replace(directory / "exit", f"{code}\n".encode(), mode=0o600)
    return code


def _child(directory: Path, command: Sequence[str], output: int) -> int:
    environment = {
        **os.environ,
        "MODELRACK_PROGRESS": str(directory / "progress"),
        "PYTHONUNBUFFERED": "1",  # the log is read while it grows
    }
    # SIGTERM waits until there is a process to pass it on to.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
            preexec_fn=_unblock,
        )
    except BaseException:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        raise
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        code = process.wait()
    except _Stop:
        _end(process)
        raise
    return code if code >= 0 else 128 - code


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate the process group: SIGTERM, then SIGKILL after GRACE seconds."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stop


def _elapsed(directory: Path, started: dict[str, Any] | None, running: bool) -> int | None:
    if not started:
        return None
    if not running:
        return _number(directory / "elapsed")
    if started["boot"] == boot_id():
        # Counts through suspend and does not jump when the wall clock is set.
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) - started["clock"])
    return None


def _steps(log: bytes) -> dict[str, Any] | None:
    found = STEP.findall(log)
    return (
        {"done": int(found[-1][0]), "total": int(found[-1][1]), "unit": "steps"} if found else None
    )


def _end_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            return file.read().replace(b"\r", b"\n")
    except FileNotFoundError:
        return b""


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
