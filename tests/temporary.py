"""Folders that go with the process that made them, however that ends.

A signal that ends a program has its `with` blocks run to their end. Nothing does after SIGKILL: a
folder is locked as long as its process lives, and who makes the next one takes it away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Before a command: it ends when we do, however that is, and keeps nothing of ours.
DIES_WITH_US = ("setpriv", "--pdeathsig", "TERM")


def end_in_order() -> None:
    """From now on a signal that ends this process is an exception first, KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        return  # Python gives signals to the main thread, and lets nobody else ask for them.
    for number in ENDINGS:
        # Who started it with nohup, or beside the work of a shell, has meant it.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # What is being taken away is taken away undisturbed, unless somebody at the keyboard insists.
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    raise KeyboardInterrupt


@contextmanager
def folder(prefix: str, within: Path | None = None) -> Iterator[Path]:
    """A new folder; those of the same prefix whose processes were killed are removed first.

    + prefix: of its name, and of no other kind of folder's
    + within: where it is made, else where temporary files are
    """
    end_in_order()
    within = within or Path(tempfile.gettempdir())
    # What `mkdtemp` adds to a prefix has eight characters.
    for left in within.glob(f"{prefix}????????"):
        _remove_if_left(left)
    made, handle = _made(prefix, within)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(handle)


def _made(prefix: str, within: Path) -> tuple[Path, int]:
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
        # Before it is locked, another process may take it for one that was left.
        with suppress(FileNotFoundError):
            handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if made.exists():
                return made, handle
            os.close(handle)


def _remove_if_left(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            # Of another user, or of somebody who lives.
            if os.fstat(handle).st_uid == os.geteuid():
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _has_mounts(path):
                    shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)


def _has_mounts(path: Path) -> bool:
    """Whether something else is mounted below, which is not ours to empty."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return any(Path(line.split()[1]).is_relative_to(path.resolve()) for line in lines)
