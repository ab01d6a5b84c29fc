"""Which machines serve a model together, and why they cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.planning.inputs.fabric import Fabric
from deploys.planning.inputs.gateway import Gateway
from deploys.planning.inputs.machine import Driver
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from tests.unit.planning.group.group_examples import (
    FABRIC,
    group_of,
    hca,
    node,
    planned,
    profile,
    served,
    service_of,
)

H800 = [node("h800", rank) for rank in range(4)]
OTHER_DRIVER = Driver(
    loaded="580.159.04",
    flavour="open",
    userspace="580.159.04",
    fabric_manager="580.159.04",
    fabric_manager_active=True,
)
BONDED = H800[1].fabric


def changed(at: int, **fields: Any) -> list[Any]:
    return [replace(each, **fields) if rank == at else each for rank, each in enumerate(H800[:2])]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "fewer hosts than machines": (
        {"there": H800[:1]},
        "Service r1: machines is 2, and of its class only h800-01 is left for it",
        "Add 1 more to hosts of its inventory, take it out of them, or set machines to 1",
    ),
    "one left over": (
        {"there": H800[:3], "rank": 2},
        "Service r1: machines is 2, and of its class only h800-03 is left for it",
        "Add 1 more to hosts",
    ),
    "left out by --limit": (
        {"beside": {1: {"asked": False, "machine": None}}},
        "Service r1: h800-02 serves it together with h800-01, and this run leaves it out",
        "Run it with --limit h800-01 --limit h800-02, or without --limit",
    ),
    "not reached": (
        {"beside": {1: {"machine": None}}},
        "Service r1: h800-02 serves it together with h800-01, and could not be looked at",
        "Do first what this run says of that machine",
    ),
    "--serial": (
        {"serial": True},
        "Service r1: --serial does one machine after another",
        "Run it without --serial",
    ),
    "another service beside it": (
        {"wanted": profile("h800", served(), served(name="small", port=8100, machines=1))},
        "Service r1: machines that serve a model together serve nothing else, and their profile"
        " has small, too",
        "Serve that on machines of another class",
    ),
    "replicas": (
        {"replicas": 2},
        "Service r1: replicas is 2, and machines that serve a model together have one copy",
        "Leave replicas out, and add 2 more hosts to the inventory",
    ),
    "other cards": (
        {"there": [H800[0], replace(node("h20", 1), hostname="h800-02")]},
        "have other cards: 8 x H800 on h800-01, no cards on h800-02",
        "Put machines with the same cards beside each other in hosts of the inventory",
    ),
    "a card less": (
        {"there": changed(1, gpus=H800[1].gpus[:7])},
        "have other cards: 8 x H800 on h800-01, 7 x H800 on h800-02",
        "Put machines with the same cards beside each other",
    ),
    "another driver": (
        {"there": changed(1, driver=OTHER_DRIVER)},
        "have other drivers: 580.178.04 on h800-01, 580.159.04 on h800-02",
        "Set driver of the profile to the version that all are to have",
    ),
    "another Python for the engine": (
        {
            "name": "cpu",
            "model": "qwen3-8b",
            "there": [
                node("cpu", 0),
                node("cpu", 1, os="ubuntu", os_version="24.04", python="3.12.3"),
            ],
        },
        "have other engines: vllm 0.32.0",
        "Install the same system on them, as their engine depends on it",
    ),
    "other links": (
        {"there": changed(1, fabric=replace(BONDED, hcas=(hca(0, active=False),)))},
        "have other links: 8 x RoCE on h800-01, 0 x sockets on h800-02",
        "Look for a link that is down",
    ),
    "another model": (
        {"beside": {1: {"profile": profile("h800", served(model="deepseek-r1-awq"))}}},
        "Service r1: model is deepseek-r1 on h800-01, deepseek-r1-awq on h800-02",
        "Give the machines that serve it together one profile",
    ),
    "another context": (
        {"beside": {1: {"profile": profile("h800", served(context=4096))}}},
        "Service r1: context is None on h800-01, 4096 on h800-02",
        "Give the machines that serve it together one profile",
    ),
    "no systemd": (
        {"there": changed(1, systemd=False)},
        "Service r1: h800-02 serves it together with others, and has no systemd",
        "Use machines or virtual machines that boot",
    ),
    "no network": (
        {"site": Site()},
        "Service r1: h800-01 has no address to serve it with others: the site has no fabric",
        "Set fabric of the site to the network between the machines",
    ),
    "no address in it": (
        {"site": Site(fabric="10.7.0.0/16")},
        "Service r1: h800-01 has no address in 10.7.0.0/16; it has 10.9.0.11",
        "write fabric_address beside each in the inventory",
    ),
    "an address of another machine": (
        {"beside": {1: {"address": "10.9.0.99"}}},
        "Service r1: h800-02 does not have the address 10.9.0.99; it has 10.9.0.12",
        "Write one of these as fabric_address beside it in the inventory",
    ),
    "an address outside the network": (
        {"beside": {1: {"address": "10.8.0.12"}}},
        "Service r1: fabric_address 10.8.0.12 of h800-02 is not in 10.9.0.0/16",
        "set fabric of the site to the network that has it",
    ),
    "no address at all": (
        {"beside": {1: {"address": "h800-02"}}},
        "Service r1: fabric_address of h800-02 is 'h800-02', which is no IP address",
        "Write one such as 10.9.0.11",
    ),
    "two alike": (
        {"there": changed(1, addresses=("10.9.0.11",))},
        "Service r1: h800-01 and h800-02 both have the address 10.9.0.11",
        "Write the address of each as fabric_address",
    ),
    "an address of no interface": (
        {"there": changed(0, fabric=Fabric())},
        "Service r1: no network interface of h800-01 has the address 10.9.0.11",
        "Give it that address",
    ),
    "a taken port of the head": (
        {"there": changed(0, ports={8001: "other.service"}), "rank": 1},
        "Service r1: port 8001 of h800-01, on which its machines talk, is taken by other.service",
        "Stop that process, or give the service another port",
    ),
    "the port of the peers": (
        {"site": Site(fabric="10.9.0.0/16", peers="10.9.0.0/16", peer_port=8003)},
        "Service r1: port 8003 of h800-01, on which its machines talk, is taken by peer_port",
        "Stop that process, or give the service another port",
    ),
    "no room above the port": (
        {"port": 65533},
        "Service r1: its machines talk on ports up to 65537",
        "Give it port 65531 or a smaller one",
    ),
    "a pipeline that ends within a machine": (
        {"pipeline_parallel": 3},
        "Service r1: pipeline_parallel 3 cannot be cut over 2 machines with as many cards of each",
        "Set pipeline_parallel to a multiple of 2",
    ),
    "an engine that cannot": (
        {"engine": "llama.cpp", "model": "deepseek-r1-q4_k_m"},
        "Service r1: llama.cpp has no machines: it serves a model on one machine",
        "Serve the model with vLLM or SGLang, or leave machines out",
    ),
    "another": (
        {"engine": "ktransformers"},
        "Service r1: ktransformers has no machines",
        "Serve the model with vLLM or SGLang",
    ),
    "and another": (
        {"name": "cpu", "engine": "ollama", "model": "qwen3-8b-q4_k_m"},
        "Service r1: ollama has no machines",
        "Serve the model with vLLM or SGLang",
    ),
    "too few cards in all": (
        {"model": "deepseek-r1-bf16"},
        "deepseek-r1-bf16 with a cache for 4096 tokens needs",
        "Choose deepseek-r1, which is 641.3 GiB, or more or larger cards",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused_with_what_to_type(case: tuple[dict[str, Any], str, str]) -> None:
    given, reason, hint = case
    found = planned(**given).refusals
    assert any(reason in each.reason and hint in each.hint for each in found), list(map(str, found))
    assert all(each.service for each in found)


# Those that are about both of two machines, of which the other is looked at, too.
ALIKE = {
    name: given
    for name, (given, _, _) in REFUSED.items()
    if "rank" not in given
    and len(given.get("there") or H800[:2]) == 2
    and "machine" not in (given.get("beside") or {}).get(1, {})
    and name != "an address of no interface"
}


@pytest.mark.parametrize("given", ALIKE.values(), ids=ALIKE.keys())
def test_all_machines_of_a_group_are_refused_alike(given: dict[str, Any]) -> None:
    assert planned(**given, rank=1).refusals


def test_the_order_of_the_inventory_is_that_of_the_ranks() -> None:
    groups = [group_of(planned(there=H800, rank=rank)) for rank in range(4)]
    assert [group.rank for group in groups] == [0, 1, 0, 1]
    names = [[each.name for each in group.nodes] for group in groups]
    first, second = ["h800-01", "h800-02"], ["h800-03", "h800-04"]
    assert names == [first, first, second, second]
    assert [group.head.address for group in groups] == ["10.9.0.11"] * 2 + ["10.9.0.13"] * 2
    assert [group.me.name for group in groups] == [each.hostname for each in H800]
    assert [each.name for each in groups[1].beside] == ["h800-01"]


def test_what_the_inventory_says_is_the_address() -> None:
    two = replace(H800[0], addresses=("10.9.0.11", "10.9.9.1"))
    two = replace(
        two,
        fabric=replace(
            two.fabric,
            interfaces=(replace(two.fabric.interfaces[0], addresses=("10.9.0.11", "10.9.9.1")),),
        ),
    )
    made = planned(there=[two, H800[1]], beside={0: {"address": "10.9.9.1"}}, rank=1)
    assert [each.address for each in group_of(made).nodes] == ["10.9.9.1", "10.9.0.12"]


def test_without_a_fabric_it_is_the_network_of_the_peers() -> None:
    assert group_of(planned(site=Site(peers="10.9.0.0/16"))).head.address == "10.9.0.11"


def test_a_second_run_finds_its_own_ports() -> None:
    machines = changed(0, ports={8000: "vllm@r1.service", 8001: "vllm@r1.service"})
    assert group_of(planned(there=machines)).ports == (8001, 8002, 8003, 8004)


def test_the_head_alone_has_the_gateway() -> None:
    gateway = Gateway(host="ai.lab", keys=Path("keys.yaml"))
    wanted = profile("h800", served(), gateway=gateway)
    machines = [replace(each, os_version="24.04", python="3.12.3") for each in H800[:2]]
    head, worker = (planned(there=machines, wanted=wanted, rank=rank) for rank in (0, 1))
    assert head.gateway is not None and not head.refusals
    assert worker.gateway is None and worker.firewall is None and not worker.refusals


def test_one_machine_is_as_it_was() -> None:
    made = planned(
        there=H800[:1], wanted=profile("h800", served(model="deepseek-r1-awq", machines=1))
    )
    assert service_of(made).group is None and service_of(made).answers
    assert "group" not in service_of(made).to_json()


@pytest.mark.parametrize("machines", [0, -1])
def test_a_number_of_machines_is_one_or_more(machines: int) -> None:
    with pytest.raises(Refusal, match=f"Service r1: machines is {machines}"):
        Service(name="r1", engine="vllm", model="deepseek-r1", port=8000, machines=machines)


def test_a_fabric_is_a_network() -> None:
    with pytest.raises(Refusal, match="fabric 'bond0' is not a network"):
        Site(fabric="bond0")
    assert FABRIC.to_json()["fabric"] == "10.9.0.0/16"
