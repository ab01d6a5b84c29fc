"""What other machines may reach of one with a gateway."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.planning.gateway.choice import Surroundings
from deploys.planning.gateway.firewall import Opening, firewall_of
from deploys.planning.gateway.key import Key
from deploys.planning.gateway.plan import GatewayPlan, MachinePeer
from deploys.planning.inputs.gateway import Gateway
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import page
from tests.unit.planning.machines import machine


def opened(site: Site, *peers: str | None, **fields: Any) -> dict[str, tuple[Any, Any]]:
    """Ports and sources of every opening, by its name; peers by their addresses."""
    gateway = GatewayPlan(
        name="gpu-01",
        host="ai.lab",
        peers=tuple(MachinePeer(name=f"gpu-{n:02}", address=a) for n, a in enumerate(peers, 2)),
    )
    plan = firewall_of(site, machine(**{"ssh_ports": (22,), **fields}), gateway)
    assert plan
    return {each.name: (each.ports, each.sources) for each in plan.openings}


def test_a_machine_without_a_gateway_of_its_own_is_left_alone() -> None:
    named = GatewayPlan(name="gpu-02", host=None, peers=(MachinePeer(name="a", address=None),))
    site = Site(ssh_from=("10.1.0.0/16",))
    for gateway in (None, named):
        assert firewall_of(site, machine(operator="10.2.0.1"), gateway) is None


def test_ssh_and_the_gateway_are_for_everybody_and_nothing_else_is() -> None:
    assert opened(Site()) == {"SSH": ((22,), ()), "gateway": ((80, 443), ())}


def test_the_ports_of_sshd_are_those_it_has() -> None:
    assert opened(Site(), ssh_ports=(22, 2222))["SSH"] == ((22, 2222), ())
    # A machine that nobody logs in to has none to be opened.
    assert {*opened(Site(), ssh_ports=())} == {"gateway"}


def test_peers_reach_the_weights() -> None:
    site = Site(peers="10.8.0.0/16", peer_port=9000)
    assert opened(site)["weights"] == ((9000,), ("10.8.0.0/16",))


def test_other_gateways_come_from_where_the_site_says_or_from_their_own_addresses() -> None:
    both = ("10.8.0.7", "fd00::3")
    assert opened(Site(), *both)["other gateways"] == ((8443,), both)
    site = Site(machines="10.9.0.0/24")
    assert opened(site, *both, None)["other gateways"] == ((8443,), ("10.9.0.0/24",))
    # Nobody asks there.
    assert "other gateways" not in opened(site)


def test_a_gateway_that_could_not_be_let_in_is_named() -> None:
    with pytest.raises(Refusal, match=r"gpu-03.*peer_address.*machines of the site"):
        opened(Site(), "10.8.0.7", None)


@pytest.mark.parametrize("operator", ["10.1.2.3", "fd00::7", None])
def test_who_deploys_may_come_back(operator: str | None) -> None:
    site = Site(ssh_from=("10.1.0.0/16", "fd00::/64"))
    assert opened(site, operator=operator)["SSH"] == ((22,), ("10.1.0.0/16", "fd00::/64"))


@pytest.mark.parametrize("operator", ["10.2.0.1", "fd01::7"])
def test_who_deploys_is_not_shut_out(operator: str) -> None:
    site = Site(ssh_from=("10.1.0.0/16", "fd00::/64"))
    with pytest.raises(Refusal, match=rf"{operator}.*ssh_from.*10\.1\.0\.0/16, fd00::/64"):
        opened(site, operator=operator)


def test_networks_are_told_apart_by_family_and_merged() -> None:
    """nft takes a network inside another, or twice, for a mistake."""
    sources = ("10.1.2.0/24", "fd00::/8", "10.1.0.0/16", "10.1.0.0/16", "10.2.0.7")
    found = dict(Opening(name="a", ports=(1,), sources=sources).families)
    assert found == {"ip": ("10.1.0.0/16", "10.2.0.7/32"), "ip6": ("fd00::/8",)}
    assert dict(Opening(name="a", ports=(1,)).families) == {"": ()}


def resolved(**site: Any) -> HostPlan:
    """The plan of a machine with a gateway, which is deployed to from 10.1.2.3."""
    return resolve(
        HostProfile(gateway=Gateway(host="ai.lab")),
        Site(**site),
        machine(os="debian", os_version="12", ssh_ports=(22,), operator="10.1.2.3"),
        Locks(),
        around=Surroundings(keys=(Key(user="alice", team="research", sha256="0" * 64),)),
    )


def test_the_plan_says_what_stays_open() -> None:
    made = resolved(ssh_from=("10.1.0.0/16",))
    assert made.refusals == ()
    text = page.of("gpu-01", machine(), made)
    assert "\n  firewall  other machines reach SSH on 22, from 10.1.0.0/16\n" in text
    assert "gateway on 80, 443; nothing else\n" in text
    # Who deploys next may come from elsewhere, and the machine is the same.
    assert "10.1.2.3" not in str(made.deployed())


def test_a_plan_that_would_shut_its_operator_out_is_refused() -> None:
    made = resolved(ssh_from=("10.2.0.0/16",))
    assert [refusal.reason for refusal in made.refusals] == [
        "This run comes from 10.1.2.3, and ssh_from of the site (10.2.0.0/16) would keep it out"
    ]
    assert made.firewall is None
