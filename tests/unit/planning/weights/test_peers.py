"""Which machines share weights: read from the inventory, decided without asking anybody."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from deploys.control import neighbours as asked
from deploys.planning import unit_names
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.resolve import resolve
from deploys.planning.weights.peers import Neighbour
from tests.unit.planning.plan_examples import MACHINE, attempt, locks, model, profile, service

NETWORK = "10.8.0.0/24"
SITE = Site(peers=NETWORK)
HERE = replace(MACHINE, addresses=("192.168.1.5", "10.8.0.5", "fd00::5"))
FIRST = Neighbour(name="first", addresses=("10.8.0.1",), models=frozenset({"tiny", "other"}))
SECOND = Neighbour(name="second", addresses=("9.9.9.9", "10.8.0.2"), models=frozenset({"tiny"}))


def planned(*neighbours: Neighbour, **given: Any) -> Any:
    site, machine = given.get("site", SITE), given.get("machine", HERE)
    return resolve(given.get("profile", profile()), site, machine, locks(), neighbours)


def test_a_site_shares_nothing_unless_it_says_so() -> None:
    made = planned(FIRST, site=Site())
    assert made.peer is None
    assert [weights.peers for weights in made.weights] == [()]


def test_the_address_is_the_one_in_the_network() -> None:
    made = planned()
    assert made.peer.url == "http://10.8.0.5:8788"
    assert made.peer.folder == "/data/models/.by-sha256"
    six = planned(site=Site(peers="fd00::/64", peer_port=9000))
    assert six.peer.url == "http://[fd00::5]:9000"
    assert not made.refusals and not six.refusals


def test_every_machine_knows_the_others_in_one_order() -> None:
    urls = ("http://10.8.0.1:8788", "http://10.8.0.2:8788")
    for neighbours in ((FIRST, SECOND), (SECOND, FIRST), (SECOND, FIRST, FIRST)):
        assert planned(*neighbours).weights[0].peers == urls


def test_only_who_has_the_same_model_counts() -> None:
    other = replace(SECOND, models=frozenset({"another"}))
    assert planned(FIRST, other).weights[0].peers == ("http://10.8.0.1:8788",)


def test_two_names_of_this_machine_are_no_peer() -> None:
    same = replace(FIRST, addresses=HERE.addresses)
    assert planned(same).weights[0].peers == ()


def test_who_is_not_known_in_the_network_is_named() -> None:
    outside = replace(SECOND, addresses=("9.9.9.9", "not-an-address"))
    made = planned(FIRST, outside)
    assert made.weights[0].peers == ("http://10.8.0.1:8788",)
    assert [text for text in made.warnings if "second" in text and "peer_address" in text]
    unrelated = replace(outside, models=frozenset({"another"}))
    assert not [text for text in planned(unrelated).warnings if "second" in text]


def test_what_stands_against_it_is_refused() -> None:
    for machine, said in (
        (replace(HERE, addresses=("9.9.9.9",)), "no address in 10.8.0.0/24.*it has 9.9.9.9"),
        (replace(HERE, addresses=()), "it has none"),
        (replace(HERE, ports={8788: "squatter.service"}), "8788.*taken by squatter.service"),
    ):
        made = planned(machine=machine)
        with pytest.raises(Refusal, match=said):
            raise made.refusals[0]
        assert made.peer is None
    assert not planned(machine=replace(HERE, ports={8788: unit_names.PEER})).refusals


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"peers": "lab"}, "not a network"),
        ({"peers": "10.8.0.5/24"}, "host bits"),
        ({"peers": "0.0.0.0/0"}, "everybody"),
        ({"peers": NETWORK, "peer_port": 80}, "outside 1024"),
    ],
)
def test_a_site_that_cannot_be_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        Site(**fields)


def test_who_else_is_there_does_not_change_what_a_machine_has_become() -> None:
    assert planned().deployed() == planned(FIRST, SECOND).deployed()
    assert planned().deployed() != attempt().deployed()


def test_services_that_share_a_model_share_its_peers() -> None:
    two = profile(service(), service(name="b", port=8081, model=model()))
    made = planned(FIRST, profile=two)
    assert [each.weights.peers for each in made.services] == [("http://10.8.0.1:8788",)] * 2


def test_a_machine_that_cannot_say_its_addresses_yet_is_known_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare: Any = SimpleNamespace(name="bare", data={"ssh_hostname": "10.8.0.9"})
    monkeypatch.setattr(asked, "state", SimpleNamespace(active_hosts={"bare": bare}.values()))
    assert asked.addresses(bare, SITE, lambda host, site: None) == ("10.8.0.9",)
