"""How many weights share a scale, as configurations of checkpoints say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from math import gcd
from typing import Any

Config = Mapping[str, Any]


def number(config: Config, *names: str) -> int | None:
    """Return the first of these fields that is a whole number."""
    return next((config[name] for name in names if type(config.get(name)) is int), None)


def in_groups_of(size: int | None) -> int | None:
    """Return the weights in a group: 1 where a whole row (-1) has a scale, as no cut matters."""
    return None if size is None else max(1, size)


def in_blocks_of(sizes: object) -> int | None:
    """Return what no side of a block may be cut in; 1 where there are no blocks."""
    if not isinstance(sizes, (list, tuple)):
        return 1
    return common(size if type(size) is int else None for size in sizes)


def common(sizes: Iterable[int | None]) -> int | None:
    """Return what is a multiple of all sizes; None without any."""
    known = [max(1, size) for size in sizes if size is not None]
    return reduce(lambda one, other: one * other // gcd(one, other), known) if known else None
