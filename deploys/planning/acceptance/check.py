"""One check of an acceptance, and the verdict that all of them come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from deploys.planning.acceptance.sentences import NAMES, SENTENCES, Language

Phase = Literal["host", "cards", "fabric", "engine", "api", "performance", "soak"]
Result = Literal["passed", "failed", "not run"]
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True, kw_only=True)
class AcceptanceCheck:
    """What was looked at, what was found, and what it was held against.

    + name: a key of sentences.NAMES
    + subject: which card, service, disk or user; "" for the machine
    + sentence: a key of sentences.SENTENCES, with its values: why it failed or did not run
    + measured, wanted: what was found and what it was held against, in `unit`
    + source: where what it is held against comes from
    + required: it has to run
    """

    phase: Phase
    name: str
    result: Result = "passed"
    subject: str = ""
    sentence: str = ""
    values: tuple[tuple[str, Any], ...] = ()
    measured: float | str | None = None
    wanted: float | str | None = None
    unit: str = ""
    source: str = ""
    required: bool = True

    @property
    def is_failure(self) -> bool:
        """Return whether the machine cannot be accepted for it: one that had to run and did not."""
        return self.result == "failed" or (self.required and self.result == "not run")

    def title(self, language: Language = "en") -> str:
        return NAMES[self.name][language]

    def why(self, language: Language = "en") -> str:
        """Return the sentence about it, "" where there is nothing to say."""
        if not self.sentence:
            return ""
        return SENTENCES[self.sentence][language].format(**dict(self.values))

    def line(self, language: Language = "en") -> str:
        """Return it in a line, for a terminal."""
        of = f" {self.subject}" if self.subject else ""
        why = f": {self.why(language)}" if self.sentence else ""
        return f"{self.phase}: {self.title(language)}{of}{why}"

    def to_json(self) -> dict[str, Any]:
        return {
            "phase": self.phase,
            "name": self.name,
            "subject": self.subject,
            "result": self.result,
            "why": self.why(),
            "why_zh": self.why("zh"),
            "measured": self.measured,
            "wanted": self.wanted,
            "unit": self.unit,
            "source": self.source,
            "required": self.required,
        }


def failed(
    phase: Phase, name: str, sentence: str, subject: str = "", **values: Any
) -> AcceptanceCheck:
    """Return a check that failed, with the sentence that says how."""
    return AcceptanceCheck(
        phase=phase,
        name=name,
        result="failed",
        subject=subject,
        sentence=sentence,
        values=tuple(values.items()),
        measured=values.get("measured"),
        wanted=values.get("wanted"),
    )


def not_run(
    phase: Phase, name: str, sentence: str, subject: str = "", *, required: bool, **values: Any
) -> AcceptanceCheck:
    """Return a check that did not run, with the sentence that says why."""
    return AcceptanceCheck(
        phase=phase,
        name=name,
        result="not run",
        subject=subject,
        sentence=sentence,
        values=tuple(values.items()),
        required=required,
    )


def at_least(
    phase: Phase,
    name: str,
    measured: float,
    wanted: float,
    unit: str,
    sentence: str,
    subject: str = "",
    *,
    source: str,
    **values: Any,
) -> AcceptanceCheck:
    """Return a check that passes where as much was measured as is wanted.

    The sentence knows both as {measured} and {wanted}, beside the values.
    """
    is_met = measured >= wanted
    told = {"measured": measured, "wanted": wanted, "unit": unit, **values}
    return AcceptanceCheck(
        phase=phase,
        name=name,
        result="passed" if is_met else "failed",
        subject=subject,
        sentence="" if is_met else sentence,
        values=() if is_met else tuple(told.items()),
        measured=measured,
        wanted=wanted,
        unit=unit,
        source=source,
    )


def is_accepted(checks: Iterable[AcceptanceCheck]) -> bool:
    """Return whether all that had to run has passed, and anything has run at all."""
    found = list(checks)
    return any(check.result == "passed" for check in found) and not any(
        check.is_failure for check in found
    )
