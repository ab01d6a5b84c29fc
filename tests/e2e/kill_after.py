"""Run pyinfra and die after an operation: `python -m tests.e2e.kill_after N ARGUMENTS...`."""

from __future__ import annotations

import os
import signal
import sys

import pyinfra_cli.main as cli
from pyinfra.api.state import BaseStateCallback, State

_nth = int(sys.argv.pop(1))
_init = State.init


class _Death(BaseStateCallback):
    ended = 0

    @staticmethod
    def operation_end(state: State, op_hash: str) -> None:
        _Death.ended += 1
        if _Death.ended == _nth:
            os.kill(os.getpid(), signal.SIGKILL)


def _init_and_watch(state: State, *arguments: object, **options: object) -> None:
    _init(state, *arguments, **options)
    state.add_callback_handler(_Death())


State.init = _init_and_watch
cli.main()
