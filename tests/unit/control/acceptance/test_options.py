"""What an operator may ask of an acceptance, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploys.control.acceptance.options import options_of
from deploys.control.clients import services
from deploys.planning.acceptance.check import PHASES
from deploys.planning.acceptance.limits import Limits
from deploys.planning.acceptance.questions import QUESTIONS
from deploys.planning.inputs.refusal import Refusal


def test_without_a_word_it_is_all_of_it() -> None:
    found = options_of({})
    assert (found.phases, found.quick, found.reboot, found.soak) == (PHASES, False, False, 1800)
    assert found.questions == QUESTIONS and found.share is None and found.reference is None


def test_quick_is_little_of_each() -> None:
    found = options_of({"quick": "true"})
    assert found.quick and found.soak == 20 and len(found.questions) < len(QUESTIONS)
    assert options_of({"quick": True, "soak": 5}).soak == 5


def test_phases_are_tested_in_their_order() -> None:
    assert options_of({"phases": "cards, host"}).phases == ("host", "cards")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"quick": "yes"}, "quick is 'yes': Write --data quick=true"),
        ({"soak": "long"}, "soak is 'long': Give seconds"),
        ({"language": "de"}, "There is no report in 'de'"),
        ({"phases": "host,disk"}, "There is no phase 'disk': Name some of host, cards"),
        ({"reference": "/nowhere.json"}, "/nowhere.json cannot be read as reference"),
        ({"acceptance": {"disk_read": 1}}, "acceptance in the group data is"),
    ],
)
def test_what_cannot_be_meant_is_refused(data: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal) as refusal:
        options_of(data)
    assert said in str(refusal.value).replace(". ", ": ")


def test_files_are_read(tmp_path: Path) -> None:
    questions, reference = tmp_path / "questions.yaml", tmp_path / "report.json"
    questions.write_text("share: 0.5\nquestions: [{question: 'Who?', answer: me}]\n")
    reference.write_text(json.dumps({"name": "unit-01"}))
    found = options_of({"questions": questions, "reference": reference})
    assert found.share == 0.5 and found.reference == {"name": "unit-01"}


def test_an_inventory_with_limits_can_be_listed(tmp_path: Path) -> None:
    limits = Limits(disk_read=5.0, disk_write=2.0, source="the disk's data sheet")
    assert options_of({"acceptance": limits}).limits == limits
    (tmp_path / "group_data").mkdir()
    (tmp_path / "few.py").write_text("hosts = ['unit-01']\n")
    (tmp_path / "group_data/few.py").write_text(
        "from deploys.planning.acceptance.limits import Limits\n"
        "from deploys.planning.inputs.profile import HostProfile\n"
        "profile = HostProfile()\n"
        f"acceptance = {limits!r}\n"
    )
    (host,) = services.listed(str(tmp_path / "few.py"))
    assert host["data"]["acceptance"]["disk_read"] == 5.0
