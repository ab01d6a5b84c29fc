"""A summary at the end of a run that names every host that failed, and in which operation."""

from __future__ import annotations

from typing import Any

from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.state import BaseStateCallback


def register(state: State) -> None:
    """Add the summary to this run; later calls do nothing.

    pyinfra itself only counts the failures.
    """
    if not any(isinstance(handler, _Report) for handler in state.callback_handlers):
        state.add_callback_handler(_Report())


class _Report(BaseStateCallback):
    def __init__(self) -> None:
        self.failed: dict[Host, str] = {}

    def operation_host_error(  # type: ignore[override]
        self, state: State, host: Host, op_hash: str, *retries: Any
    ) -> None:
        self.failed.setdefault(host, ", ".join(state.get_op_meta(op_hash).names))

    def host_disconnect(self, state: State, host: Host) -> None:  # type: ignore[override]
        if operation := self.failed.pop(host, None):
            logger.error(
                f"    {host.name} failed in: {operation}. What is done stays done;"
                " run the same command again to go on."
            )
