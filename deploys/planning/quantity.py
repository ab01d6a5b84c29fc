"""Human-readable byte counts."""

from __future__ import annotations

import math

_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"))


def size(count: float, *, up: bool = False) -> str:
    """Return a byte count with unit and one decimal; `up` rounds up, for space that is required."""
    unit, name = next((each for each in _UNITS if count >= each[0]), _UNITS[-1])
    shown = math.ceil(count / unit * 10) / 10 if up else count / unit
    return f"{shown:.1f} {name}"
