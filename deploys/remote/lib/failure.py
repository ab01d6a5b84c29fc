"""How programs end early; each message is one line: what is wrong, and what to do next."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

STOPPED = 128 + signal.SIGTERM


class Failure(Exception):
    """The work cannot be done as asked; the text is shown to the operator as it is."""


class SourceFailure(Failure):
    """This source cannot provide this file; another source may."""


class Stopped(Failure):
    """A signal has asked the program to end; it can be resumed from what is on disk."""

    def __init__(self) -> None:
        super().__init__("stopped by a signal; run the same command again to continue from here")


def exit_code(program: Callable[[], int]) -> int:
    """Run `program` and return its exit code; if it fails, print the reason to standard error.

    The code is 1 after a failure, and 143 if a signal stopped the program.
    """
    try:
        return program()
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return STOPPED
    except (Failure, OSError) as failure:
        print(failure, file=sys.stderr)
        return 1


def stop_on_signal() -> threading.Event:
    """Return an event that is set by SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
