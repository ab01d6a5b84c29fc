"""The exception for everything that cannot be done: what is wrong, and how to fix it."""

from __future__ import annotations

from types import TracebackType


class Refusal(ValueError):
    """A request that cannot be fulfilled.

    + reason: what is wrong, one sentence without a full stop
    + hint: what the operator can do about it, one sentence without a full stop
    + service: the service affected, "" if it is the machine itself
    """

    def __init__(self, reason: str, hint: str, service: str = "") -> None:
        super().__init__(f"{reason}. {hint}.")
        self.reason = reason
        self.hint = hint
        self.service = service

    def to_json(self) -> dict[str, str]:
        return {"reason": self.reason, "hint": self.hint, "service": self.service}

    # pyinfra prints an exception raised by an inventory or group data file with the traceback it
    # stored here. The reader of a refusal wants the file's name and the sentence, not our frames.
    @property
    def _traceback(self) -> TracebackType | None:
        return None

    @_traceback.setter
    def _traceback(self, traceback: TracebackType | None) -> None:
        pass


# What the printed name of the exception reads like.
Refusal.__module__ = "modelrack"
