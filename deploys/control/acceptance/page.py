"""The page of a report: one file in both languages, with its plots, that prints as it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploys.control.acceptance import plots
from deploys.control.acceptance.words import words
from deploys.planning.acceptance.check import PHASES, AcceptanceCheck
from deploys.planning.acceptance.sentences import Language
from deploys.rendering import templates


def page(document: Mapping[str, Any], checks: Sequence[AcceptanceCheck], first: Language) -> str:
    """Return the page of a document.

    + first: the language that it opens in
    """
    second: Language = "en" if first == "zh" else "zh"
    machine = document["machine"]
    return templates.text(
        "acceptance/report.html",
        **{
            name: document[name]
            for name in (
                *("name", "accepted", "begun", "ended", "machine", "cards", "software"),
                "services",
            )
        },
        kind=_kind(document),
        serial=machine.get("unit") or machine.get("serial") or "",
        disks=", ".join(f"{disk['model']} {disk['serial']}" for disk in machine.get("disks", ())),
        languages=[_in(language, document, checks) for language in (first, second)],
    )


def _kind(document: Mapping[str, Any]) -> str:
    if document["tested"] != list(PHASES):
        return "part"
    if document["quick"]:
        return "look"
    return "certificate" if document["certificate"] else "report"


def _in(
    language: Language, document: Mapping[str, Any], checks: Sequence[AcceptanceCheck]
) -> dict[str, Any]:
    said = words(language)
    by_phase = [(phase, [each for each in checks if each.phase == phase]) for phase in PHASES]
    return {
        "code": language,
        "words": said,
        "checks": [(phase, found) for phase, found in by_phase if found],
        "load": [
            (service, plots.of_load(runs, said)) for service, runs in document["load"].items()
        ],
        "soak": plots.of_soak(document["samples"], said),
    }
