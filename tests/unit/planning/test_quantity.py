"""Byte counts: one way to write them, for pages, refusals and jobs."""

from __future__ import annotations

import re

import pytest

from deploys.planning.quantity import human
from tests.unit import ROOT

KIB, MIB, GIB, TIB = (1 << bits for bits in (10, 20, 30, 40))
# What writes them itself: the formatters here and on the machine.
FORMATTERS = {"deploys/planning/quantity.py", "deploys/remote/lib/space.py"}
# A number with decimals and a unit behind it.
FORMATTED = re.compile(r":[\d,]*\.\d+f\} ?(?:\{unit|\{name|[kKMGT]i?B)")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KIB, "1.0 KiB"),
        (1536 * KIB, "1.5 MiB"),
        (GIB, "1.0 GiB"),
        (700 * GIB, "700.0 GiB"),
        (13.6 * TIB, "13.6 TiB"),
    ],
)
def test_a_count_reads(count: float, text: str) -> None:
    assert human(count) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (0.2, "1 B"), (GIB + 1, "1.1 GiB"), (3 * GIB, "3.0 GiB")]
)
def test_what_is_required_is_rounded_up(count: float, text: str) -> None:
    assert human(count, up=True) == text


def test_nothing_else_writes_byte_counts() -> None:
    writing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "deploys").rglob("*.py")
        if FORMATTED.search(path.read_text())
    }
    assert writing == FORMATTERS
