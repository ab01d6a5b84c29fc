"""The chat page of a gateway: what is planned for it, and what speaks against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploys.planning import unit_names
from deploys.planning.gateway import chat
from deploys.planning.gateway.choice import Surroundings
from deploys.planning.gateway.plan import CHAT_PORT
from deploys.planning.inputs.gateway import Chat, Gateway
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import GLOBAL, Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import page
from tests.unit.planning.plan_examples import GIB, locks, machine, profile, service

GATEWAY = Gateway(host="ai.lab", chat=Chat(admin="admin@ai.lab", locale="zh-CN"))
DEBIAN_12 = {"os": "debian", "os_version": "12", "python": "3.11.2"}


def planned(wanted: HostProfile | None = None, site: Site | None = None, **of: Any) -> HostPlan:
    """The plan of a machine with a chat page, whatever speaks against it."""
    return resolve(
        wanted or profile(gateway=GATEWAY),
        site or Site(),
        machine(**{**DEBIAN_12, **of}),
        locks(),
        around=Surroundings(keys=""),
    )


def test_it_is_installed_from_its_lock() -> None:
    made = planned()
    assert not made.refusals
    software = made.software_of(chat.NAME)
    assert software.version == locks().environments[chat.NAME].versions[chat.NAME]
    deployed = made.deployed_of(chat.NAME)
    assert [each["name"] for each in deployed["software"]] == [chat.NAME]
    assert deployed["services"] == []


@pytest.mark.parametrize(
    ("own", "used"), [("3.11.2", "3.11"), ("3.12.3", "3.12"), ("3.13.5", "3.12")]
)
def test_it_runs_on_the_machines_own_python_where_that_will_do(own: str, used: str) -> None:
    software = planned(python=own).software_of(chat.NAME)
    assert vars(software)["python"] == used


def test_without_it_nothing_of_it_is_planned() -> None:
    made = planned(profile(gateway=replace(GATEWAY, chat=None)))
    assert chat.NAME not in [each.name for each in made.software]
    assert not [warning for warning in made.warnings if "licence" in warning]


def test_services_leave_it_its_memory() -> None:
    """What is just enough without the page is too little with it."""
    wanted = profile(service(parallel=1, context=512))
    enough = next(n for n in range(1, 64) if not planned(wanted, memory=n * GIB).refusals)
    with_page = replace(wanted, gateway=GATEWAY)
    assert "memory" in str(planned(with_page, memory=enough * GIB).refusals)
    more = enough * GIB + chat.MEMORY * 10 // 9
    assert not planned(with_page, memory=more).refusals


def test_turning_it_on_leaves_the_services_as_they_are() -> None:
    """They would have to be restarted otherwise."""
    before, after = planned(profile()), planned()
    assert before.services == after.services


REFUSED: dict[str, tuple[Callable[[], HostPlan], str]] = {
    "no model to ask": (
        lambda: planned(HostProfile(gateway=GATEWAY)),
        "The chat page has no model to ask, as this machine serves none",
    ),
    "no model that writes": (
        lambda: planned(profile(service(task="embed"), gateway=GATEWAY)),
        "this machine serves none that writes answers",
    ),
    "a service on its port": (
        lambda: planned(profile(service(port=chat.PORT), gateway=GATEWAY)),
        "Service tiny and the chat page both want port 3000. Give tiny another port",
    ),
    "another program on its port": (
        lambda: planned(ports={chat.PORT: "grafana-server.service"}),
        "Port 3000 of the chat page is taken by grafana-server.service. Stop that process",
    ),
    "another processor": (
        lambda: planned(architecture="aarch64"),
        "The chat page is locked for x86_64, and cpu-01 is aarch64. Take chat out",
    ),
    "no way to a Python": (
        lambda: planned(site=Site(mirrors=replace(GLOBAL, python_builds=None)), python="3.13.5"),
        "python_builds",
    ),
}


@pytest.mark.parametrize(("attempt", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused(attempt: Callable[[], HostPlan], said: str) -> None:
    refusals = attempt().refusals
    assert [str(each) for each in refusals if said in str(each)]
    # Not what holds up the driver of the machine.
    assert {each.service for each in refusals} == {"gateway"}


@pytest.mark.parametrize("model", ["no-such-key", "modelscope:Qwen/Qwen3-0.6B"])
def test_beside_a_model_that_is_unknown_everything_else_is_still_told(model: str) -> None:
    """It may write answers: that there is none to ask is not said."""
    unknown = service(name="unknown", model=model, port=chat.PORT)
    said = " ".join(map(str, planned(profile(unknown, gateway=GATEWAY)).refusals))
    assert "Service unknown" in said
    assert "both want port 3000" in said
    assert "no model to ask" not in said


def test_its_own_port_is_no_hindrance() -> None:
    ports = {chat.PORT: unit_names.CHAT, CHAT_PORT: unit_names.GATEWAY}
    assert not planned(ports=ports).refusals


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(Refusal, match="no mail address"):
        Chat(admin="admin")
    with pytest.raises(Refusal, match="no language"):
        Chat(admin="admin@ai.lab", locale="Chinese")


def test_its_licence_is_told_where_it_is_planned() -> None:
    printed = page.of("m", machine(**DEBIAN_12), planned())
    assert "more than 50 users" in printed
    assert "\n  chat      Open WebUI behind https://ai.lab, in 2.0 GiB of memory" in printed


def test_an_address_of_ipv6_is_printed_as_a_browser_takes_it() -> None:
    wanted = profile(gateway=replace(GATEWAY, host="fd00::1"))
    printed = page.of("m", machine(**DEBIAN_12), planned(wanted))
    assert "Open WebUI behind https://[fd00::1], in" in printed


def test_its_first_administrator_is_known_and_no_secret_is() -> None:
    recorded = json.dumps(planned().deployed())
    assert "admin@ai.lab" in recorded
    assert "password" not in recorded.lower()
