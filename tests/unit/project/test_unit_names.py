"""Units of ours have the names of planning/unit_names.py, in templates and on the machine, too."""

from __future__ import annotations

import re

from deploys.planning import unit_names
from deploys.remote.facts import managed_units
from tests.unit import ROOT

NAME = re.compile(
    rf"\b{unit_names.PREFIX}(?:peer|gateway|acme|firewall|failed|job|identity|self-test|node-exporter|metrics|prometheus|alertmanager|notifier)\b[@\w%*.-]*"
)


def test_no_other_module_spells_a_unit_of_ours() -> None:
    spelt = {
        str(path.relative_to(ROOT)): found
        for path in (ROOT / "deploys").rglob("*.py")
        if (found := NAME.findall(path.read_text()))
    }
    assert spelt == {}


def test_templates_have_the_units_of_ours_and_no_others() -> None:
    templates = [*(ROOT / "templates").glob("*/*.j2")]
    units = {path.name.removesuffix(".j2") for path in templates}
    assert {name for name in units if name.startswith(unit_names.PREFIX)} == {
        unit_names.PEER,
        unit_names.GATEWAY,
        unit_names.ACME,
        unit_names.ACME_TIMER,
        unit_names.CHAT,
        unit_names.FIREWALL,
        unit_names.NODE_EXPORTER,
        unit_names.METRICS,
        unit_names.PROMETHEUS,
        unit_names.ALERTMANAGER,
        unit_names.NOTIFIER,
        unit_names.FAILED,
        unit_names.IDENTITY,
        unit_names.SELF_TEST,
    }
    called = {name for path in templates for name in NAME.findall(path.read_text())}
    services = {name for name in called if name.endswith(".service")}
    assert services == {unit_names.FAILED.replace("@", "@%n")}


def test_the_machine_takes_none_of_them_for_a_model_server() -> None:
    assert managed_units.NO_SERVER == unit_names.PREFIX
