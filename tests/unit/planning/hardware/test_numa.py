"""Where the part of a model that stays in host memory goes, on machines with several nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.numa import HostMemory, threads
from deploys.planning.inputs.machine import Machine, Node
from deploys.planning.inputs.profile import Service
from deploys.planning.models.catalogue import model
from deploys.planning.placement.allocate import place_all
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.memory import GIB, Card
from tests.unit.planning.machines import machine

LARGE, MIDDLE, OTHER, SMALL = (
    "deepseek-r1-q4_k_m",
    "qwen3-235b-a22b-instruct-2507-q4_k_m",
    "deepseek-r1-ud-iq1_s",
    "deepseek-r1-distill-llama-70b-q4_k_m",
)


def of(memory: int, count: int = 2, **fields: Any) -> Machine:
    """A machine with that much memory, the same on each node."""
    each = memory * GIB // count
    nodes = tuple(Node(index=index, cores=64 // count, memory=each) for index in range(count))
    return machine(**{"memory": memory * GIB, "numa_nodes": count, "nodes": nodes, **fields})


def placed(
    there: Machine, *models: str, cards: tuple[int, ...] = (1,), engine: Any = "llama.cpp"
) -> list[Placement]:
    """The services of a machine whose cards hang on these nodes."""
    gpu = named("RTX 4090") if cards else None
    own = [Card(index=at, total=24 * GIB, numa=node) for at, node in enumerate(cards)]
    wanted = []
    for at, key in enumerate(models):
        entry = replace(model(key), legacy_cache=False)
        service = Service(
            name=f"s{at}", engine=engine, model=entry, port=8000 + at, context=8192, parallel=1
        )
        wanted.append((service, entry, entry.size))
    found = list(place_all(wanted, gpu, own, there))
    assert not any(each.refusals for each in found)
    return found


def said(placement: Placement) -> str:
    return placement.reasons[-1]


def test_what_fits_the_node_of_its_card_stays_there() -> None:
    there = of(512)
    (placement,) = placed(there, MIDDLE)
    assert placement.cpu_experts
    assert placement.host_memory == HostMemory(mapped=False, policy="bind", nodes=(1,))
    assert not placement.host_memory.spread
    # With as many threads as that node has cores.
    assert threads(there, placement.host_memory) == 32
    assert "NUMA node 1 alone: the cards are attached to it" in said(placement)


def test_what_does_not_fit_one_node_goes_to_each_in_turn() -> None:
    there = of(512)
    (placement,) = placed(there, LARGE)
    both = HostMemory(mapped=False, policy="interleave", nodes=(0, 1))
    assert placement.host_memory == both and both.spread
    assert threads(there, placement.host_memory) == 64
    assert "does not hold all" in said(placement)
    # Nor is the memory of one node all its own: the system may have its part there.
    needed = sum(placed(of(1024), MIDDLE)[0].ledger.host.values())
    tight = of(2 * needed // GIB + 2)
    assert placed(tight, MIDDLE)[0].host_memory == both


def test_cards_of_several_nodes_and_none_use_all_memory_channels() -> None:
    (placement,) = placed(of(512), MIDDLE, cards=(0, 1))
    assert placement.host_memory.policy == "interleave"
    assert "attached to several" in said(placement)
    (placement,) = placed(of(512), SMALL, cards=())
    assert placement.host_memory.policy == "interleave"
    assert "memory channels" in said(placement)


def test_one_node_needs_no_policy() -> None:
    (placement,) = placed(of(512, count=1), MIDDLE, cards=(0,))
    assert placement.host_memory == HostMemory(mapped=False)


def test_a_file_that_two_services_map_is_mapped_by_both() -> None:
    """It is counted once, so neither may have a copy of its own."""
    for count, policy in ((1, "any"), (2, "first touch")):
        found = placed(of(512, count=count), SMALL, SMALL, cards=())
        assert {(each.host_memory.mapped, each.host_memory.policy) for each in found} == {
            (True, policy)
        }
        assert all("another service maps" in said(each) for each in found)
    # Another model is another file.
    found = placed(of(512, count=1), SMALL, "deepseek-r1-distill-qwen-14b-q4_k_m", cards=())
    assert not any(each.host_memory.mapped for each in found)


def test_where_little_memory_is_left_weights_can_give_way() -> None:
    host = placed(of(512, count=1), SMALL, cards=())[0].ledger.host
    needed = sum(host.values()) - host["prompt cache"]
    for count, policy in ((1, "any"), (2, "first touch")):
        (roomy,) = placed(of(int(needed / 0.7) // GIB, count=count), SMALL, cards=())
        assert not roomy.host_memory.mapped
        (tight,) = placed(of(int(needed / 0.9) // GIB, count=count), SMALL, cards=())
        assert (tight.host_memory.mapped, tight.host_memory.policy) == (True, policy)
        assert "as little memory is left beside" in said(tight)


def test_without_systemd_threads_alone_are_dealt_out() -> None:
    (placement,) = placed(of(512, systemd=False), MIDDLE)
    assert placement.host_memory == HostMemory(policy="first touch")
    assert "leaves the page cache before a start" in said(placement)
    # An image is booted by systemd one day.
    (placement,) = placed(of(512, systemd=False, booted=False), MIDDLE)
    assert placement.host_memory.policy == "bind"


@pytest.mark.parametrize("engine", ["ollama", "llama.cpp"])
def test_what_is_on_cards_and_who_cannot_be_told_stay_as_they_are(engine: Any) -> None:
    key = SMALL if engine == "ollama" else "deepseek-r1-distill-qwen-7b-q4_k_m"
    (placement,) = placed(of(512), key, engine=engine)
    assert placement.computes_on_host == (engine == "ollama")
    assert placement.host_memory == HostMemory()


def test_no_node_is_given_more_than_it_has() -> None:
    """Whatever is bound, a share of what goes to all, and the system."""
    for memory in range(320, 2049, 64):
        there = of(memory)
        found = placed(there, MIDDLE, OTHER, SMALL, cards=(0, 1, 1))
        on = {0: 0, 1: 0}
        for each in found:
            size = sum(each.ledger.host.values())
            bound = each.host_memory.policy == "bind"
            for node in on:
                if bound:
                    on[node] += size if node in each.host_memory.nodes else 0
                else:
                    on[node] += size // 2
        for node in there.nodes:
            if any(each.host_memory.nodes == (node.index,) for each in found):
                assert on[node.index] <= node.memory - there.memory * 0.05
