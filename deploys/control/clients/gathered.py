"""What a run learns from each host, handed over once, when it has come to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from pyinfra.api import Host, State
from pyinfra.api.state import BaseStateCallback

T = TypeVar("T")


class Gathered(BaseStateCallback, Generic[T]):
    """Values by host; pyinfra runs a script once a host, and says nothing when all are done.

    + act: called at the end of a run in which any host has a value, with these by name in the order
      of the inventory, and the names of the hosts that should have had one
    """

    def __init__(self, act: Callable[[dict[str, T], Sequence[str]], None]) -> None:
        self._act = act
        self._values: dict[str, T] = {}

    def add(self, state: State, host: Host, value: T) -> None:
        """Keep what one host has come to."""
        if self not in state.callback_handlers:
            state.add_callback_handler(self)
        self._values[host.name] = value

    def host_disconnect(self, state: State, host: Host) -> None:  # type: ignore[override]
        """Act when the first host takes its leave: by then, nothing more is to come of any."""
        values, self._values = self._values, {}
        if not values:
            return
        wanted = [each.name for each in state.inventory if state.is_host_in_limit(each)]
        there = {name: values[name] for name in wanted if name in values}
        self._act(there, [name for name in wanted if name not in there])
