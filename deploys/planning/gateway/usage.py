"""What users have asked of models, as the logs of gateways count it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one user has asked of one model in one month.

    + month: such as "2026-11", UTC
    + answers: how many; of `estimated` ones the engine has not said the tokens, as of those that
      were broken off: the prompt counts for nothing, and each piece of the answer for one token
    + ms: milliseconds from the request to the end of the answer, all together
    """

    month: str
    user: str
    team: str
    model: str
    answers: int
    estimated: int
    tokens_in: int
    tokens_out: int
    ms: int


@dataclass(frozen=True, kw_only=True)
class GatewayLog:
    """The log of one machine.

    + since: the first day that it still has, such as "2026-11-02"; None where there is none
    + broken: lines that could not be read
    """

    since: str | None = None
    broken: int = 0
    rows: tuple[Usage, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


_WHO = ("month", "user", "team", "model")
_COUNTED = tuple(field.name for field in fields(Usage) if field.name not in _WHO)


def total(rows: Iterable[Usage]) -> list[Usage]:
    """Return one row for each month, team, user and model, of all machines together."""
    found: dict[tuple[str, ...], Usage] = {}
    for row in rows:
        who = (row.month, row.team, row.user, row.model)
        before = found.get(who)
        found[who] = _sum(before, row) if before else row
    return [row for _, row in sorted(found.items())]


def _sum(one: Usage, other: Usage) -> Usage:
    counted = {name: getattr(one, name) + getattr(other, name) for name in _COUNTED}
    return Usage(**{**vars(one), **counted})
