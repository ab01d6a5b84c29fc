"""What is held against the answers of many at once, as a tool for load has measured them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploys.planning.acceptance.check import AcceptanceCheck, at_least, failed, not_run
from deploys.planning.placement.users import RATES
from deploys.planning.plan import ServicePlan

# Requests at once, and tokens of each prompt and answer.
FULL, QUICK = (1, 4, 16, 64), (1, 4)
PROMPT, ANSWER = 1024, 256
# Requests for each that is made at once, quickly or not.
EACH = {True: 2, False: 4}
_FLOOR = "the plan (min_tokens_per_second)"
_USERS = "the plan's estimate (users)"


def lengths(plan: ServicePlan, *, quick: bool) -> tuple[int, int]:
    """Return the tokens of a prompt and of an answer, which together a request may have."""
    prompt, answer = (PROMPT // 8, ANSWER // 8) if quick else (PROMPT, ANSWER)
    room = plan.context * 3 // 4
    if prompt + answer <= room:
        return prompt, answer
    return room * 3 // 4, room // 4


def checks(plan: ServicePlan, runs: Sequence[Mapping[str, Any]]) -> Iterator[AcceptanceCheck]:
    """Yield the checks of a service under load.

    + runs: one for each number of requests at once: {"parallel", "asked", "failed", "per_user"},
      the last in tokens a second of each
    """
    for run in runs:
        told = {name: run[name] for name in ("failed", "asked", "parallel")}
        subject = f"{plan.name}, {run['parallel']}"
        if run["failed"] or not run["asked"]:
            yield failed("performance", "load", "errors", subject, **told)
        else:
            yield AcceptanceCheck(
                phase="performance",
                name="load",
                subject=subject,
                measured=round(run["tokens_per_second"], 1),
                unit="tokens/s",
            )
    alone = next((run for run in runs if run["parallel"] == 1), None)
    floor = plan.min_tokens_per_second
    if alone and floor:
        speed = alone["per_user"]
        yield at_least(
            *("performance", "speed", speed, floor, "tokens/s", "slow alone", plan.name),
            source=_FLOOR,
        )
    elif alone:
        yield not_run("performance", "speed", "no limit known", plan.name, required=False)
    yield from _users(plan, runs)


def served(runs: Sequence[Mapping[str, Any]], rate: int) -> int:
    """Return how many at once got so many tokens a second each, of the numbers that were tried."""
    return max((run["parallel"] for run in runs if run["per_user"] >= rate), default=0)


def _users(plan: ServicePlan, runs: Sequence[Mapping[str, Any]]) -> Iterator[AcceptanceCheck]:
    tried = max((run["parallel"] for run in runs), default=0)
    for rate in RATES:
        subject, measured = f"{plan.name}, {rate} tokens/s", served(runs, rate)
        planned = (plan.users or {}).get(rate)
        if planned is None:
            yield AcceptanceCheck(
                phase="performance",
                name="users",
                subject=subject,
                measured=measured,
                unit=f"of {tried} that were tried",
            )
            continue
        # Of what was tried, the most that the plan promises.
        wanted = max((run["parallel"] for run in runs if run["parallel"] <= planned), default=0)
        yield at_least(
            *("performance", "users", measured, wanted, f"of {tried}", "few users", subject),
            source=_USERS,
            rate=rate,
        )
