"""The ways a program ends early; each message is one line: what is wrong, what to do next."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

STOPPED = 128 + signal.SIGTERM


class Failure(Exception):
    """The work cannot be done as asked; the text is shown to the operator as it stands."""


class SourceFailure(Failure):
    """This source cannot give this file; another source may."""


class Stopped(Failure):
    """A signal asked for the end; everything on disk is fit to continue from."""

    def __init__(self) -> None:
        super().__init__("stopped by a signal; run the same command again to continue from here")


def exit_code(program: Callable[[], int]) -> int:
    """What `program` returns; 1 with the reason on standard error when it fails."""
    try:
        return program()
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return STOPPED
    except (Failure, OSError) as failure:
        print(failure, file=sys.stderr)
        return 1


def stop_on_signal() -> threading.Event:
    """Set by the signal that asks for an end."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
