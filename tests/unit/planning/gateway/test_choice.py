"""What answers behind a gateway, and what is refused before any machine is changed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.planning.gateway.choice import ServedElsewhere
from deploys.planning.inputs.gateway import Acme, Chat, Gateway
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import GLOBAL, Site
from deploys.planning.plan import HostPlan
from deploys.rendering import page
from tests.unit.planning.gateway.gateway_examples import BESIDE, GATEWAY, around, key, planned
from tests.unit.planning.plan_examples import MACHINE


def servers(made: HostPlan) -> dict[str, list[tuple[str, str, int, int | None]]]:
    """Where each service is answered: machine, address, port, and how many at a time."""
    assert made.gateway
    return {
        backend.service: [(s.name, s.address, s.port, s.parallel) for s in backend.servers]
        for backend in made.gateway.backends
    }


def test_without_one_in_the_profile_there_is_none() -> None:
    assert planned(None).gateway is None


def test_services_of_the_machine_are_answered_as_many_at_a_time_as_they_take() -> None:
    assert servers(planned()) == {"tiny": [("gpu-01", "127.0.0.1", 8080, 2)]}


def test_services_of_other_machines_are_answered_by_their_gateways() -> None:
    made = planned(replace(GATEWAY, also=("gpu-02", "gpu-01")), around(others=(BESIDE,)))
    assert servers(made) == {
        "large": [("gpu-02", "10.8.0.2", 8443, None)],
        "tiny": [("gpu-01", "127.0.0.1", 8080, 2), ("gpu-02", "10.8.0.2", 8443, None)],
    }
    assert made.gateway and made.gateway.between_machines
    assert not made.refusals


def test_who_is_named_answers_machines_alone() -> None:
    made = planned(None, around(keys=(), others=(replace(BESIDE, asks=True),)))
    assert made.gateway
    assert (made.gateway.host, made.gateway.keys) == (None, ())
    assert [(peer.name, peer.address) for peer in made.gateway.peers] == [("gpu-02", "10.8.0.2")]
    assert servers(made) == {"tiny": [("gpu-01", "127.0.0.1", 8080, 2)]}


def test_what_is_drained_gets_nothing() -> None:
    for name, expected in (("gpu-02", [False, True]), ("tiny", [True, True])):
        made = planned(
            replace(GATEWAY, also=("gpu-02",), drained=(name,)), around(others=(BESIDE,))
        )
        assert made.gateway
        tiny = next(each for each in made.gateway.backends if each.service == "tiny")
        assert [server.drained for server in tiny.servers] == expected


def test_nothing_secret_is_recorded() -> None:
    gateway = replace(GATEWAY, chat=Chat(admin="admin@ai.lab"))
    made = planned(gateway, around(keys=(key(until=None),)))
    recorded = json.dumps(made.deployed())
    assert key().sha256 not in recorded and "keys" not in made.deployed()["profile"]["gateway"]
    assert made.deployed() == planned(gateway, around(keys=())).deployed()


UBUNTU = replace(MACHINE, os="ubuntu", os_version="22.04")
MANY = around(others=(BESIDE,))
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "a port that somebody else has": (
        {"machine": replace(MACHINE, ports={443: "nginx.service"})},
        "Port 443 of the gateway is taken by nginx.service",
        "take gateway out of the profile",
    ),
    "a distribution whose HAProxy is too old": (
        {"machine": UBUNTU},
        "HAProxy of ubuntu 22.04 is too old for token counts",
        "Upgrade it to Ubuntu 24.04",
    ),
    "another system": (
        {"machine": replace(MACHINE, os="rocky", os_version="9.4")},
        "this machine has rocky 9.4",
        "Take gateway out",
    ),
    "a host that the inventory does not have": (
        {"gateway": replace(GATEWAY, also=("gpu-03",)), "beside": MANY},
        "also names gpu-03, which the inventory does not have",
        "gpu-02",
    ),
    "a host whose address nobody knows": (
        {
            "gateway": replace(GATEWAY, also=("gpu-02",)),
            "beside": around(others=(replace(BESIDE, address=None),)),
        },
        "the address of gpu-02, which also names, is not known",
        "peer_address",
    ),
    "one name for two models": (
        {
            "gateway": replace(GATEWAY, also=("gpu-02",)),
            "beside": around(
                others=(
                    replace(
                        BESIDE,
                        offers=(ServedElsewhere(service="tiny", model="other", served="tiny"),),
                    ),
                )
            ),
        },
        "Service tiny is tiny on gpu-01 and other on gpu-02",
        "another name",
    ),
    "one name for two tasks": (
        {
            "gateway": replace(GATEWAY, also=("gpu-02",)),
            "beside": around(
                others=(
                    replace(
                        BESIDE,
                        offers=(
                            ServedElsewhere(
                                service="tiny", model="tiny", served="tiny", task="embed"
                            ),
                        ),
                    ),
                )
            ),
        },
        "Service tiny has task generate on gpu-01 and embed on gpu-02",
        "the same task",
    ),
    "a key for what nobody serves": (
        {"beside": around(keys=(key(models=("r1",)),))},
        "the key of alice names r1, which no machine serves",
        "tiny",
    ),
    "drained what is not there": (
        {"gateway": replace(GATEWAY, drained=("gpu-09",))},
        "drained names gpu-09",
        "gpu-01, tiny",
    ),
    "files of the operator": (
        {"beside": around(refusals=(Refusal("There is no keys.toml", "Make it"),))},
        "There is no keys.toml",
        "Make it",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_with_a_way_out(name: str) -> None:
    given, reason, hint = REFUSED[name]
    # The machine's own stages go on.
    (refusal,) = [each for each in planned(**given).refusals if each.service == "gateway"]
    assert reason in refusal.reason
    assert hint in refusal.hint


def test_its_own_unit_may_have_its_ports() -> None:
    ports = dict.fromkeys((80, 443, 8443, 8405), "modelrack-gateway.service")
    machine: Machine = replace(MACHINE, ports=ports)
    assert not planned(machine=machine).refusals


def test_a_key_may_name_what_another_machine_of_the_inventory_serves() -> None:
    assert not planned(beside=around(keys=(key(models=("large",)),), others=(BESIDE,))).refusals


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"host": "https://ai.lab"}, "neither a DNS name"),
        ({"host": "AI.lab"}, "neither a DNS name"),
        ({"host": "ai.lab", "also": "gpu-02"}, "is the text 'gpu-02', not names"),
        ({"host": "ai.lab", "rate": 0}, "rate is 0"),
        ({"host": "ai.lab", "at_once": 0}, "at_once is 0"),
        ({"host": "10.8.0.5", "certificate": Acme()}, "for the address 10.8.0.5 is to be had"),
    ],
)
def test_a_gateway_that_makes_no_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        Gateway(**fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"directory": "http://ca.lab/dir"}, "no address that begins with https://"),
        ({"directory": "https://ca.lab/a b"}, "no address that begins with https://"),
        ({"email": "nobody"}, "'nobody' is no mail address"),
    ],
)
def test_an_authority_that_makes_no_sense_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        Acme(**fields)


def test_a_certificate_is_asked_for_where_the_site_says_or_the_profile() -> None:
    """What is recorded says where, and not which file of the operator's."""
    for certificate, directory in (
        (Acme(ca=Path("/home/op/ca.pem")), GLOBAL.acme),
        (Acme(directory="https://ca.lab/dir"), "https://ca.lab/dir"),
    ):
        made = planned(replace(GATEWAY, certificate=certificate))
        assert made.gateway and made.gateway.acme and not made.gateway.own
        assert made.gateway.acme.directory == directory
        assert made.deployed()["gateway"]["certificate"] == directory
        assert "/home/op" not in json.dumps(made.deployed())
        assert f"is asked of {directory}, which" in page.of("gpu-01", MACHINE, made)


def test_a_site_without_a_way_to_an_authority_is_told_so() -> None:
    inside = Site(mirrors=replace(GLOBAL, acme=None))
    made = planned(replace(GATEWAY, certificate=Acme()), site=inside)
    (refusal,) = made.refusals
    assert "no way to acme" in refusal.reason and "mirrors.acme" in refusal.hint


def test_addresses_are_names_of_a_gateway_too() -> None:
    assert [Gateway(host=host).host for host in ("10.8.0.5", "fd00::5")] == ["10.8.0.5", "fd00::5"]


def test_a_unit_of_an_appliance_keeps_its_own_key_and_certificate() -> None:
    """Whoever deploys to it later: they are on its console, and what its owner trusts."""
    unit = replace(MACHINE, own_key="ab" * 32)
    made = planned(machine=unit).gateway
    assert made and made.vouches
    assert [(key.user, key.sha256) for key in made.keys][-1] == ("owner", "ab" * 32)
    assert made.to_json()["certificate"] == "the unit's"
    other = planned().gateway
    assert other and not other.vouches and [key.user for key in other.keys] == ["alice"]
