"""What is watched of a machine, by whom, and what cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.planning.inputs.monitoring import Mail, Monitoring, Webhook
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.plan import HostPlan
from tests.unit.planning.gateway.gateway_examples import around
from tests.unit.planning.monitoring.examples import EXAMPLES, MAIL, WATCHED, WATCHES, planned
from tests.unit.planning.plan_examples import MACHINE


@pytest.mark.parametrize("plan", EXAMPLES.values(), ids=EXAMPLES)
def test_examples_are_carried_out_and_recorded_without_secrets(plan: HostPlan) -> None:
    assert plan.refusals == ()
    recorded = json.dumps(plan.deployed()) + json.dumps(plan.to_json())
    assert "/nowhere" not in recorded and "ops@ai.lab" not in recorded


def test_a_machine_alone_needs_no_gateway() -> None:
    plan = EXAMPLES["alone"]
    assert plan.gateway is None and plan.monitoring
    assert [target.name for target in plan.monitoring.targets] == ["node", "service-tiny"]
    assert plan.monitoring.certificates == ()


def test_one_that_watches_reaches_the_other_through_both_gateways() -> None:
    plan = EXAMPLES["watches"]
    assert plan.monitoring and plan.gateway
    names = ["node", "gateway", "usage", "service-large"]
    assert [(m.name, [t.name for t in m.targets]) for m in plan.monitoring.machines] == [
        ("gpu-02", names)
    ]
    assert plan.gateway.between_machines and plan.gateway.machines == plan.monitoring.machines
    watched = EXAMPLES["watched"]
    assert watched.monitoring and watched.gateway and watched.monitoring.by == "gpu-02"
    assert watched.gateway.host is None and watched.gateway.monitoring is None
    (peer,) = watched.gateway.peers
    assert (peer.name, peer.asks, peer.watches) == ("gpu-02", False, True)
    assert watched.monitoring.size == 0


def test_size_grows_with_days_and_machines_and_shrinks_with_the_interval() -> None:
    def size(monitoring: Monitoring, *others: Any) -> int:
        plan = planned(monitoring, around(others=others))
        assert plan.monitoring
        return plan.monitoring.size

    usual = size(Monitoring())
    assert 1 << 30 < usual < 4 << 30
    assert size(Monitoring(days=90)) > 2 * usual
    assert size(Monitoring(), WATCHED) > 1.5 * usual
    assert size(Monitoring(interval=60)) < usual


def test_services_leave_it_memory() -> None:
    small = replace(MACHINE, memory=5 << 30)
    assert planned(None, machine=small, gateway=None).refusals == ()
    (refusal,) = planned(Monitoring(), machine=small, gateway=None).refusals
    assert "too large" in refusal.reason


@pytest.mark.parametrize(
    ("said", "plan"),
    [
        ("Port 9090 of modelrack-prometheus.service is taken by prometheus.service", {}),
        ("gpu-07 is to watch this machine", {"monitoring": Monitoring(by="gpu-07")}),
        ("viewers names eve", {"monitoring": Monitoring(viewers=("eve",))}),
        ("this machine has none", {"gateway": None}),
        ("and / has", {"monitoring": Monitoring(days=3650)}),
        ("this machine has rocky 9.4", {"gateway": None, "monitoring": Monitoring()}),
        ("the address of gpu-02, which this machine watches, is not known", {"beside": None}),
    ],
)
def test_what_cannot_be_is_refused(said: str, plan: dict[str, Any]) -> None:
    machine = MACHINE
    if "9090" in said:
        machine = replace(machine, ports={9090: "prometheus.service"})
    if "rocky" in said:
        machine = replace(machine, os="rocky", os_version="9.4")
    beside = None
    if "address" in said:
        beside = around(others=(replace(WATCHED, address=None),))
    made = planned(**{**plan, "beside": beside}, machine=machine)
    refused = [refusal for refusal in made.refusals if said in refusal.reason]
    assert refused, made.refusals
    # Its services do not wait for that, nor the stages of the machine.
    assert refused[0].service in ("monitoring", "gateway")


def test_what_it_has_kept_is_not_in_its_way() -> None:
    long = Monitoring(days=3650)
    assert planned(long).refusals
    runs = replace(MACHINE, ports={9090: "modelrack-prometheus.service"})
    assert planned(long, machine=runs).refusals == ()


def test_its_own_processes_do_not_take_its_ports() -> None:
    ports = {9090: "modelrack-prometheus.service", 9100: "modelrack-node-exporter.service"}
    assert planned(machine=replace(MACHINE, ports=ports)).refusals == ()


@pytest.mark.parametrize(
    ("said", "make"),
    [
        ("no form 'slack'", lambda: Webhook(url=Path("x"), form="slack")),  # type: ignore[arg-type]
        ("nothing is signed", lambda: Webhook(url=Path("x"), form="wecom", secret=Path("y"))),
        ("to 'ops' is no mail address", lambda: replace(MAIL, to="ops")),
        ("no host with a port", lambda: replace(MAIL, smarthost="smtp.ai.lab")),
        ("go together", lambda: Mail(to="a@b", sender="a@b", smarthost="a:25", user="x")),
        ("viewers is the text 'alice'", lambda: Monitoring(viewers="alice")),  # type: ignore[arg-type]
        ("days is 0", lambda: Monitoring(days=0)),
        ("interval is 1.5", lambda: Monitoring(interval=1.5)),  # type: ignore[arg-type]
        ("first_token is 0", lambda: Monitoring(first_token=0)),
    ],
)
def test_what_is_no_setting_is_refused_with_what_to_write(said: str, make: Any) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        make()
    assert refused.value.hint


def test_the_firewall_lets_in_who_watches() -> None:
    plan = planned(Monitoring(by="gpu-02"), around(others=(WATCHES,)))
    assert plan.firewall
    (opening,) = [each for each in plan.firewall.openings if 8443 in each.ports]
    assert opening.sources == ("10.8.0.2",)
