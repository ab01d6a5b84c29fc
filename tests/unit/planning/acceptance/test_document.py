"""The document of an acceptance, and when it is a certificate."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from deploys.planning.acceptance.check import PHASES, AcceptanceCheck, failed
from deploys.planning.acceptance.document import document
from tests.unit.planning.plan_examples import plan

GOOD = AcceptanceCheck(phase="host", name="plan")
BAD = failed("host", "units", "unit failed", units="x.service")
MACHINE: Any = SimpleNamespace(
    hostname="m", os="debian", os_version="12", cpu="a cpu", cores=8, memory=64 << 30
)


def made(*checks: AcceptanceCheck, **changes: Any) -> dict[str, Any]:
    told = {"tested": PHASES, "quick": False, "times": (0.0, 60.0), **changes}
    measured = {"seconds": {"host": 1.5}}
    return document("unit-01", MACHINE, plan(), checks, measured, **told)


@pytest.mark.parametrize(
    ("checks", "changes", "accepted", "certificate"),
    [
        ([GOOD], {}, True, True),
        ([GOOD], {"quick": True}, True, False),
        ([GOOD], {"tested": ("host",)}, True, False),
        ([GOOD, BAD], {}, False, False),
        ([], {}, False, False),
    ],
)
def test_a_certificate_is_all_of_it_and_all_well(
    checks: list[AcceptanceCheck], changes: dict[str, Any], accepted: bool, certificate: bool
) -> None:
    found = made(*checks, **changes)
    assert (found["accepted"], found["certificate"]) == (accepted, certificate)


def test_it_is_json_with_both_languages_and_what_each_phase_came_to() -> None:
    found = json.loads(json.dumps(made(GOOD, BAD)))
    assert found["phases"]["host"] == {"passed": 1, "failed": 1, "not run": 0, "seconds": 1.5}
    assert found["checks"][1]["why"] == "x.service has failed"
    assert found["checks"][1]["why_zh"] == "x.service 已失败"
    assert found["begun"] == "1970-01-01T00:00:00+00:00"
    assert [each["digest"] for each in found["software"]]
