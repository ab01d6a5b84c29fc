"""The rules: each is tested by promtool, says what to do, and has its source."""

from __future__ import annotations

import re

import pytest
import yaml

from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.monitoring.alerts import alerts, rules
from deploys.remote.facts import kernel_log
from tests.unit import ROOT

ALERTS = alerts(Monitoring())


def test_each_is_caused_and_over_in_a_test_of_promtool() -> None:
    """tests/monitoring runs them, with the promtool of the machine."""
    told = yaml.safe_load((ROOT / "tests/monitoring/rules_test.yaml").read_text())["tests"]
    cases = [case for test in told for case in test["alert_rule_test"]]
    for alert in ALERTS:
        found = [case["exp_alerts"] for case in cases if case["alertname"] == alert.name]
        assert [] in found, f"{alert.name} is never over"
        assert any(found), f"{alert.name} is never caused"


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_says_what_to_do_and_where_its_threshold_is_from(alert: object) -> None:
    assert all(vars(alert)[name].strip() for name in ("says", "do", "source"))


def test_times_follow_the_interval() -> None:
    def waits(interval: int) -> dict[str, int]:
        found = rules(Monitoring(interval=interval))["groups"][1]["rules"]
        return {rule["alert"]: int(rule["for"].removesuffix("s")) for rule in found}

    usual, short = waits(15), waits(3)
    assert usual["EngineDown"] == 60
    assert {name: 5 * seconds for name, seconds in short.items()} == usual


def test_every_engine_that_has_metrics_is_in_each_name() -> None:
    named = {rule["record"]: rule["expr"] for rule in rules(Monitoring())["groups"][0]["rules"]}
    for engine in ENGINES.values():
        for quantity in ("running", "waiting", "cache", "read", "written"):
            metric = engine.metrics and getattr(engine.metrics, quantity)
            assert not metric or metric in named[f"modelrack:{quantity}"]


def test_errors_of_programs_are_those_that_a_deploy_does_not_refuse() -> None:
    pattern = kernel_log._OF_APPLICATIONS.pattern
    numbers = re.search(r"\(\?:([\d|]+)\)", pattern)
    error = next(alert for alert in ALERTS if alert.name == "CardError")
    assert numbers and f'xid!~"{numbers[1]}"' in error.when
