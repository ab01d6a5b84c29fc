"""Byte counts as a person reads them; programs on the machine have remote/lib/space.py for it."""

from __future__ import annotations

import math

_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def human(count: float, *, up: bool = False) -> str:
    """Return a byte count with unit and one decimal; `up` rounds up, for space that is required."""
    for unit, name in _UNITS:
        if count >= unit:
            shown = math.ceil(count / unit * 10) / 10 if up else count / unit
            return f"{shown:.1f} {name}"
    return f"{math.ceil(count) if up else count:.0f} B"
