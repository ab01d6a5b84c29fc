"""Locks that end with the process that holds them: flock, so that no stale lock is left behind.

`lock hold` reserves a machine for one operator for as long as the operator's SSH channel lives.
This file also runs on its own (`python3 -c "$(cat lock.py)" hold …`): it uses the standard library
only and imports nothing from this package.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

HELD = 75  # EX_TEMPFAIL: somebody else holds it, try later


class Taken(Exception):
    """Another process holds the lock."""


def take(path: Path, patience: float = 1.0) -> int:
    """Lock `path` and return the descriptor of the lock; raise Taken after `patience` seconds.

    The file is never removed: a lock on a removed file would exclude nobody.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            # Waiting a moment: a look at the state of the lock (`is_held`) holds it for an instant.
            if time.monotonic() >= deadline:
                os.close(fd)
                raise Taken(str(path)) from None
            time.sleep(0.05)


@contextlib.contextmanager
def held(path: Path) -> Iterator[int]:
    """Hold the lock on `path` during the block."""
    fd = take(path)
    try:
        yield fd
    finally:
        os.close(fd)


def is_held(path: Path) -> bool:
    """Return whether some process holds the lock on `path` now."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def main(arguments: list[str]) -> int:
    """Run `hold --owner JSON [--lease SECONDS] PATH` or `show PATH`; return the exit code."""
    parser = argparse.ArgumentParser(prog="lock")
    commands = parser.add_subparsers(dest="command", required=True)
    hold = commands.add_parser("hold")
    hold.add_argument("--owner", type=_owner, required=True, help="JSON object: who, from where")
    hold.add_argument("--lease", type=float, default=90.0, help="seconds without a line on stdin")
    hold.add_argument("path", type=Path)
    show = commands.add_parser("show")
    show.add_argument("path", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "show":
        print(json.dumps(read_owner(options.path) if is_held(options.path) else {}))
        return 0
    return _hold(options.path, options.owner, options.lease)


def read_owner(path: Path) -> dict[str, object]:
    """Return what the holder wrote about itself; empty if it has not done so yet."""
    for _ in range(20):
        with contextlib.suppress(OSError, ValueError):
            value = json.loads(path.read_text("utf-8"))
            if isinstance(value, dict):
                return value
        time.sleep(0.01)  # between taking the lock and writing into it
    return {}


class _Released(Exception):
    pass


def _hold(path: Path, owner: dict[str, object], lease: float) -> int:
    try:
        fd = take(path)
    except Taken:
        print(json.dumps(read_owner(path)), flush=True)
        return HELD
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _release)
    try:
        record = {**owner, "since": int(time.time()), "holder": os.getpid()}
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(record).encode() + b"\n", 0)
        print("held", flush=True)
        _wait(lease)
    except (_Released, BrokenPipeError):
        pass
    finally:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        os.ftruncate(fd, 0)
        os.close(fd)
    return 0


def _wait(lease: float) -> None:
    """Return when stdin has ended or been silent for `lease` seconds."""
    while select.select([0], [], [], lease)[0]:
        if not os.read(0, 4096):
            return


def _release(number: int, frame: FrameType | None) -> None:
    raise _Released


def _owner(text: str) -> dict[str, object]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
