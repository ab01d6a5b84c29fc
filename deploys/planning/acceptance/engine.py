"""What is held against a service: its unit, its weights, how they are read, and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploys.planning.acceptance.check import AcceptanceCheck, failed, not_run
from deploys.planning.acceptance.limits import JUDGED, Limits
from deploys.planning.acceptance.questions import KnownQuestion
from deploys.planning.checkpoint.quantization import as_served, same
from deploys.planning.plan import ServicePlan

# A control token that a template would have taken away, or a tokenizer never written.
_TOKEN = re.compile(r"<\|[^|<>]{1,40}\|>|<｜[^｜]{1,40}｜>|\[/?INST\]|<(?:start|end)_of_turn>")


@dataclass(frozen=True, kw_only=True)
class AskedService:
    """A service and what its answers are held against.

    + quantization: as the model of the plan has it
    + parameters: of its network
    + questions: asked in this order
    """

    plan: ServicePlan
    quantization: str
    parameters: float
    questions: tuple[KnownQuestion, ...]
    share: float | None


def share_of(parameters: float, limits: Limits) -> float | None:
    """Return the share of right answers that a model of so many parameters has to reach."""
    fitting = [share for least, share in limits.right_answers if parameters >= least]
    return max(fitting, default=None)


def checks(service: AskedService, seen: Mapping[str, Any]) -> Iterator[AcceptanceCheck]:
    """Yield the checks of a service, from what remote/acceptance/served.py has printed of it."""
    plan = service.plan
    yield _unit(plan, seen)
    yield from _weights(plan, seen)
    yield _quantization(service, seen)
    yield _template(plan, seen)
    yield from answered(service, seen)


def _unit(plan: ServicePlan, seen: Mapping[str, Any]) -> AcceptanceCheck:
    if seen["active"] != "active":
        return failed("engine", "unit", "unit is", plan.name, unit=plan.unit, state=seen["active"])
    if seen["restarts"]:
        told = {"unit": plan.unit, "count": seen["restarts"]}
        return failed("engine", "unit", "unit restarts", plan.name, **told)
    if seen["enabled"] not in ("enabled", "enabled-runtime", "indirect"):
        told = {"unit": plan.unit, "state": seen["enabled"]}
        return failed("engine", "unit", "not enabled", plan.name, **told)
    return AcceptanceCheck(phase="engine", name="unit", subject=plan.name, measured=seen["active"])


def _weights(plan: ServicePlan, seen: Mapping[str, Any]) -> Iterator[AcceptanceCheck]:
    planned, found = plan.weights.entry or plan.weights.directory, seen["opened"]
    if found is not None and found != planned:
        told = {"service": plan.name, "found": found, "planned": planned}
        yield failed("engine", "weights", "other weights", plan.name, **told)
    elif seen["weights_problem"]:
        yield failed(
            "engine", "weights", "weights changed", plan.name, text=seen["weights_problem"]
        )
    else:
        yield AcceptanceCheck(
            phase="engine",
            name="weights",
            subject=plan.name,
            measured=seen["weights_read"],
            wanted=planned,
            source="the manifest of what was fetched, by the hashes of the plan",
        )


def _quantization(service: AskedService, seen: Mapping[str, Any]) -> AcceptanceCheck:
    plan, planned = service.plan, service.quantization
    found = as_served(seen["file_type"], seen["quantization"])
    if found and not same(planned, found):
        told = {"service": plan.name, "found": found, "planned": planned}
        return failed("engine", "quantization", "other quantization", plan.name, **told)
    if not found:
        told = {"text": seen["quantization_error"]}
        return not_run("engine", "quantization", "broke off", plan.name, required=True, **told)
    return AcceptanceCheck(
        phase="engine", name="quantization", subject=plan.name, measured=found, wanted=planned
    )


def _template(plan: ServicePlan, seen: Mapping[str, Any]) -> AcceptanceCheck:
    told, wanted = seen["template"], seen["template_wanted"]
    if plan.task != "generate":
        return not_run(
            "engine", "template", "no answers", plan.name, required=False, task=plan.task
        )
    if told is None or wanted is None:
        return not_run(
            "engine", "template", "template untold", plan.name, required=False, engine=plan.engine
        )
    if told != wanted:
        return failed(
            *("engine", "template", "other template", plan.name),
            service=plan.name,
            found=told,
            where=seen["template_where"],
            planned=wanted,
        )
    return AcceptanceCheck(
        phase="engine",
        name="template",
        subject=plan.name,
        measured=told,
        wanted=wanted,
        source=seen["template_where"],
    )


def answered(service: AskedService, seen: Mapping[str, Any]) -> Iterator[AcceptanceCheck]:
    """Yield whether enough answers are right, and none shows the marks of another template."""
    plan, answers = service.plan, seen["answers"]
    if plan.task != "generate":
        yield not_run("engine", "answers", "no answers", plan.name, required=False, task=plan.task)
        return
    if seen["answers_error"]:
        told = {"text": seen["answers_error"]}
        yield not_run("engine", "answers", "broke off", plan.name, required=True, **told)
        return
    for answer in answers:
        if token := _TOKEN.search(answer):
            yield failed("engine", "answers", "leaks", plan.name, service=plan.name, token=token[0])
            return
    if service.share is None:
        yield not_run("engine", "answers", "small model", plan.name, required=False)
        return
    wrong = [
        (asked, said)
        for asked, said in zip(service.questions, answers, strict=True)
        if not asked.is_right(said)
    ]
    right, wanted = len(answers) - len(wrong), _count(service.share, len(answers))
    if right < wanted:
        asked, said = wrong[0]
        yield failed(
            *("engine", "answers", "wrong answers", plan.name),
            service=plan.name,
            right=right,
            asked=len(answers),
            wanted=wanted,
            question=asked.question,
            said=" ".join(said.split())[:80],
        )
        return
    yield AcceptanceCheck(
        phase="engine",
        name="answers",
        subject=plan.name,
        measured=right,
        wanted=wanted,
        unit=f"of {len(answers)}",
        source=JUDGED,
    )


def compared(
    service: ServicePlan, answers: Sequence[str], reference: Mapping[str, Any] | None, share: float
) -> AcceptanceCheck:
    """Return whether the answers are those of an accepted machine.

    + reference: its report; None where none was named
    """
    theirs = (reference or {}).get("answers", {}).get(service.name)
    if reference is None or not theirs or len(theirs) != len(answers):
        return not_run("engine", "reference", "no reference", service.name, required=False)
    differing = sum(mine != other for mine, other in zip(answers, theirs, strict=True))
    same_ones, wanted = len(answers) - differing, _count(share, len(answers))
    if same_ones < wanted:
        return failed(
            *("engine", "reference", "other answers", service.name),
            differing=differing,
            asked=len(answers),
            service=service.name,
            machine=reference["name"],
        )
    return AcceptanceCheck(
        phase="engine",
        name="reference",
        subject=service.name,
        measured=same_ones,
        wanted=wanted,
        unit=f"of {len(answers)}",
        source=f"the report of {reference['name']}",
    )


def _count(share: float, of: int) -> int:
    """Return how many of them that is, rounded up."""
    return -int(-share * of // 1)
