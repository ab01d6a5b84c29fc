"""The table of usage and its CSV."""

from __future__ import annotations

from deploys.rendering import usage as rendered
from tests.unit.planning.gateway.test_usage import usage

ROWS = [
    usage(),
    usage(user="王芳", team="客服", tokens_out=1_234_567, estimated=1, ms=3_600_000),
    usage(month="2026-12", ms=999),
]
TABLE = """\
 month     team       user    model   answers   tokens in   tokens out      time
 ───────────────────────────────────────────────────────────────────────────────
 2026-11   research   alice   r1            2       1,000          500   0:01:01
 2026-11   客服       王芳    r1            2      ~1,000   ~1,234,567   1:00:00
 2026-11   all                              4      ~2,000   ~1,235,067   1:01:01

 2026-12   research   alice   r1            2       1,000          500   0:00:00
 2026-12   all                              2       1,000          500   0:00:00"""
CSV = """\
month,team,user,model,answers,estimated_answers,tokens_in,tokens_out,seconds
2026-11,research,alice,r1,2,0,1000,500,61.5
2026-11,客服,王芳,r1,2,1,1000,1234567,3600.0
2026-12,research,alice,r1,2,0,1000,500,0.999
"""


def test_the_table_has_a_sum_for_each_month_and_marks_what_is_estimated() -> None:
    assert rendered.table(ROWS) == TABLE


def test_a_narrow_terminal_loses_no_number() -> None:
    narrow = rendered.table(ROWS, width=70)
    assert max(map(len, narrow.splitlines())) <= 70
    assert "~1,235,067" in narrow


def test_a_name_is_text_whatever_stands_in_it() -> None:
    assert " [b]:smile: " in rendered.table([usage(team="[b]:smile:")])


def test_the_csv_has_the_rows_alone() -> None:
    assert rendered.as_csv(ROWS) == CSV
