"""pyinfra with six functions made cheap that it calls for each operation and fact of each host.

What pyinfra 3.10 does with a hundred hosts, by cProfile of `full.py --dry`:

- more than half of all time goes into inspect.stack(), which looks up the source of each caller to
  learn its file and line
- it evaluates the annotations of the global arguments again for each operation and each fact
- it asks each layer of the data of each host for each of these arguments, and merges that of its
  groups each time
- it looks for installed connectors again for each host

What it prints and the order of operations stay the same, which tests/unit/connection/test_speed.py
holds it to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from types import FrameType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from pyinfra.api import Inventory, arguments, connectors, facts, host, inventory, util


class _Location(NamedTuple):
    """What pyinfra reads of inspect.Traceback."""

    filename: str
    lineno: int


def quicken() -> None:
    """Replace these functions, for this process; later calls do nothing."""
    if util.__dict__["stack"] is _stack:
        return
    util.stack, util.getframeinfo = _stack, _location  # type: ignore[assignment]
    arguments.all_global_arguments = cache(arguments.all_global_arguments)
    facts.all_global_arguments = arguments.all_global_arguments
    connectors.get_all_connectors = cache(connectors.get_all_connectors)
    inventory.get_all_connectors = connectors.get_all_connectors
    host.HostData.__getattr__ = _datum  # type: ignore[method-assign]
    Inventory.get_groups_data = _merged_once(Inventory.get_groups_data)  # type: ignore[method-assign]


def _stack() -> list[tuple[FrameType]]:
    """Return the frames of all callers, the nearest first."""
    found: list[tuple[FrameType]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        found.append((frame,))
        frame = frame.f_back
    return found


def _location(frame: FrameType) -> _Location:
    return _Location(frame.f_code.co_filename, frame.f_lineno)


def _datum(data: host.HostData, key: str) -> Any:
    """Return a copy of the first value that a layer of a host's data has for `key`."""
    own, *_, of_deploy = data.datas
    if "settled" not in data.__dict__:
        data.__dict__["settled"] = _settled(data)
    for values in (own, data.__dict__["settled"], of_deploy()):
        if key in values:
            return copy(values[key])
    raise AttributeError(f"Host `{data.host}` has no data `{key}`")


def _settled(data: host.HostData) -> dict[str, Any]:
    """Return the layers between what a run sets and what a deploy does, which stay as they are."""
    found: dict[str, Any] = {}
    for layer in reversed(data.datas[1:-1]):
        found.update(layer())
    return found


def _merged_once(
    merge: Callable[[Inventory, Sequence[str]], dict[str, Any]],
) -> Callable[[Inventory, Sequence[str]], dict[str, Any]]:
    """Return `merge`, called once for the same groups: their data is read before a run begins."""
    merged: WeakKeyDictionary[Inventory, dict[tuple[str, ...], dict[str, Any]]]
    merged = WeakKeyDictionary()

    def data_of(inventory: Inventory, groups: Sequence[str]) -> dict[str, Any]:
        known = merged.setdefault(inventory, {})
        names = tuple(groups)
        if names not in known:
            known[names] = merge(inventory, groups)
        return known[names]

    return data_of
