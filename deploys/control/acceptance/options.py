"""What an operator has asked of an acceptance, with --data or in group data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploys.planning.acceptance import soak
from deploys.planning.acceptance.check import PHASES, Phase
from deploys.planning.acceptance.limits import Limits
from deploys.planning.acceptance.questions import QUESTIONS, QUICK, KnownQuestion, questions_of
from deploys.planning.acceptance.sentences import Language
from deploys.planning.inputs.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class AcceptanceOptions:
    """How much is asked, and where the report goes.

    + phases: what is tested, all of it or some
    + quick: little of each, to see that a machine is as it was; no certificate
    + reboot: it is rebooted, and has to serve again
    + soak: seconds of load
    + output: folder of the reports
    + language: that the report opens in
    + reference: the report of an accepted machine that serves the same
    + questions, share: what is asked, and how much of it has to be right; None goes by the model
    + limits: those of the group data
    """

    phases: tuple[Phase, ...]
    quick: bool
    reboot: bool
    soak: int
    output: Path
    language: Language
    reference: dict[str, Any] | None
    questions: tuple[KnownQuestion, ...]
    share: float | None
    limits: Limits | None


def options_of(data: Mapping[str, Any]) -> AcceptanceOptions:
    """Return what is asked; raise Refusal where a value cannot be meant so."""
    quick = _is_set(data, "quick")
    language = str(data.get("language") or "en")
    if language not in ("en", "zh"):
        raise Refusal(f"There is no report in {language!r}", "Write language=en or language=zh")
    questions, share = (QUESTIONS[:QUICK] if quick else QUESTIONS), None
    if named := data.get("questions"):
        questions, share = questions_of(_read(named, "questions"))
    limits = data.get("acceptance")
    if limits is not None and not isinstance(limits, Limits):
        raise Refusal(
            f"acceptance in the group data is {limits!r}",
            "Write acceptance = Limits(...), of deploys.planning.acceptance.limits",
        )
    return AcceptanceOptions(
        phases=_phases(data),
        quick=quick,
        reboot=_is_set(data, "reboot"),
        soak=_seconds(data, quick=quick),
        output=Path(str(data.get("output") or "reports")),
        language="zh" if language == "zh" else "en",
        reference=_read(data["reference"], "reference") if data.get("reference") else None,
        questions=questions,
        share=share,
        limits=limits,
    )


def _phases(data: Mapping[str, Any]) -> tuple[Phase, ...]:
    named = [each.strip() for each in str(data.get("phases") or "").split(",") if each.strip()]
    for each in named:
        if each not in PHASES:
            raise Refusal(f"There is no phase {each!r}", f"Name some of {', '.join(PHASES)}")
    return tuple(phase for phase in PHASES if phase in named or not named)


def _is_set(data: Mapping[str, Any], name: str) -> bool:
    value = str(data.get(name) or "false").lower()
    if value not in ("true", "false"):
        raise Refusal(f"{name} is {value!r}", f"Write --data {name}=true, or leave it out")
    return value == "true"


def _seconds(data: Mapping[str, Any], *, quick: bool) -> int:
    told = str(data.get("soak") or (soak.QUICK if quick else soak.FULL))
    if not told.isdigit() or int(told) < 1:
        raise Refusal(f"soak is {told!r}", "Give seconds, such as --data soak=1800")
    return int(told)


def _read(path: Any, what: str) -> Any:
    try:
        text = Path(str(path)).read_text(encoding="utf-8")
        return json.loads(text) if what == "reference" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Refusal(f"{path} cannot be read as {what}: {error}", "Name another file") from error
