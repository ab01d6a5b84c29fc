"""Usage as a table for people and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby

from rich import box
from rich.console import Console
from rich.table import Table

from deploys.planning.gateway.usage import Usage

_COLUMNS = ("month", "team", "user", "model")
_NUMBERS = ("answers", "tokens in", "tokens out", "time")
_CSV = (*_COLUMNS, "answers", "estimated_answers", "tokens_in", "tokens_out", "seconds")


def table(rows: Sequence[Usage], width: int | None = None) -> str:
    """Return the rows with a sum for each month; `~` marks numbers that are in part estimated.

    + width: of the terminal; None: as wide as the table is
    """
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in _COLUMNS:
        shown.add_column(name, overflow="fold")
    for name in _NUMBERS:
        shown.add_column(name, justify="right", no_wrap=True)
    for month, found in groupby(rows, lambda row: row.month):
        of_month = list(found)
        for row in of_month:
            shown.add_row(row.month, row.team, row.user, row.model, *_numbers([row]))
        shown.add_row(month, "all", "", "", *_numbers(of_month), end_section=True)
    text = io.StringIO()
    # Names are text, whatever stands in them.
    console = Console(
        file=text, width=width or 10_000, color_system=None, markup=False, emoji=False
    )
    console.print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n")


def _numbers(rows: Sequence[Usage]) -> tuple[str, str, str, str]:
    mark = "~" if any(row.estimated for row in rows) else ""
    seconds = sum(row.ms for row in rows) // 1000
    return (
        f"{sum(row.answers for row in rows):,}",
        f"{mark}{sum(row.tokens_in for row in rows):,}",
        f"{mark}{sum(row.tokens_out for row in rows):,}",
        str(timedelta(seconds=seconds)),
    )


def as_csv(rows: Sequence[Usage]) -> str:
    """Return the rows as CSV with a line of names; no sums, as programs make their own."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        seconds = round(row.ms / 1000, 3)
        named = {**vars(row), "estimated_answers": row.estimated, "seconds": seconds}
        writer.writerow({name: named[name] for name in _CSV})
    return text.getvalue()
