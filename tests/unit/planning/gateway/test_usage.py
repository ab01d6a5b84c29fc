"""What several machines have counted becomes one table."""

from __future__ import annotations

from typing import Any

from deploys.planning.gateway.usage import Usage, total
from tests.unit.planning.gateway.usage_examples import ROW


def usage(**fields: Any) -> Usage:
    """A row, other where `fields` say so."""
    return Usage(**{**ROW, **fields})


def test_the_same_user_on_two_machines_is_one_row() -> None:
    (row,) = total([usage(), usage(answers=1, estimated=1, tokens_in=10, tokens_out=3, ms=500)])
    assert row == usage(answers=3, estimated=1, tokens_in=1010, tokens_out=503, ms=62_000)


def test_rows_are_sorted_by_month_team_user_and_model() -> None:
    rows = [
        usage(month="2026-12"),
        usage(team="support", user="aaron"),
        usage(user="bob"),
        usage(model="tiny"),
        usage(),
    ]
    assert total(rows) == [rows[4], rows[3], rows[2], rows[1], rows[0]]


def test_nothing_is_nothing() -> None:
    assert total([]) == []
