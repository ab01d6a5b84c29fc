"""How a model is cut over the cards of several machines, and what each of them holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.inputs.machine import Machine
from tests.unit.planning.group.group_examples import group_of, node, planned, service_of

# What is asked for, and tensor, context, data and pipeline parallel sizes.
CUTS: list[tuple[dict[str, Any], tuple[int, int, int, int]]] = [
    # Tensor parallel in a machine, a pipeline over them.
    ({}, (8, 8, 1, 2)),
    ({"performance": "latency"}, (8, 1, 1, 2)),
    ({"engine": "sglang"}, (8, 1, 1, 2)),
    ({"machines": 4, "model": "deepseek-r1-bf16"}, (8, 8, 1, 4)),
    ({"name": "h20", "model": "deepseek-r1-bf16"}, (8, 8, 1, 2)),
    # Many requests: each card has some of its own, and shares the experts of all machines.
    ({"performance": "throughput"}, (16, 1, 16, 1)),
    ({"performance": "throughput", "engine": "sglang"}, (16, 1, 16, 1)),
    # The operator's word wins.
    ({"tensor_parallel": 16}, (16, 1, 16, 1)),
    ({"tensor_parallel": 4}, (4, 4, 1, 4)),
    ({"tensor_parallel": 4, "pipeline_parallel": 4}, (4, 4, 1, 4)),
    ({"pipeline_parallel": 4}, (4, 4, 1, 4)),
    # Cards without links: pairs, in a pipeline over all.
    ({"name": "rtx4090", "model": "qwen3-32b"}, (2, 1, 1, 8)),
    # Without cards each machine computes by itself.
    ({"name": "cpu", "model": "qwen3-8b"}, (1, 1, 1, 2)),
    ({"name": "cpu", "model": "qwen3-8b", "tensor_parallel": 2}, (2, 1, 1, 1)),
    ({"name": "cpu", "model": "qwen3-8b", "machines": 4, "tensor_parallel": 2}, (2, 1, 1, 2)),
]


@pytest.mark.parametrize(("asked", "cut"), CUTS)
def test_a_model_is_cut(asked: dict[str, Any], cut: tuple[int, int, int, int]) -> None:
    placed = service_of(planned(**asked)).placement
    found = (
        placed.tensor_parallel,
        placed.context_parallel,
        placed.data_parallel,
        placed.pipeline_parallel,
    )
    assert (found, placed.replicas) == (cut, 1)


@pytest.mark.parametrize(("asked", "cut"), CUTS)
def test_every_machine_has_as_many_cards_and_counts_them_itself(
    asked: dict[str, Any], cut: tuple[int, int, int, int]
) -> None:
    machines = asked.get("machines", 2)
    made = [service_of(planned(**{**asked, "rank": rank})) for rank in range(machines)]
    tensor, _, _, pipeline = cut
    if made[0].placement.groups:
        of_one = tensor * pipeline // machines
        for each in made:
            assert len(each.placement.cards) == len(each.placement.ledger.cards) == of_one
            assert {*each.placement.cards} <= {*range(8)}
            assert [card.index for card in each.placement.ledger.cards] == [*each.placement.cards]
    assert {each.placement.parallel for each in made} == {made[0].placement.parallel}
    assert {each.placement.context for each in made} == {made[0].placement.context}


def test_what_a_machine_holds_is_its_stages() -> None:
    head, worker = (service_of(planned(rank=rank)) for rank in (0, 1))
    assert head.group is not None
    weights = [
        sum(card.lines["weights"] for card in each.placement.ledger.cards)
        for each in (head, worker)
    ]
    assert [node.weights for node in head.group.nodes] == weights
    # The stages are of 30 and 31 layers, and the first three are dense.
    assert weights[0] < weights[1]
    assert sum(weights) == pytest.approx(688e9, rel=0.03)


def test_without_cards_a_machine_holds_a_part() -> None:
    alone = service_of(planned("cpu", model="qwen3-8b", machines=1)).placement.ledger.host
    made = planned("cpu", model="qwen3-8b")
    half = service_of(made).placement.ledger.host
    assert half["weights"] == pytest.approx(alone["weights"] / 2, rel=0.1)
    assert [node.cards for node in group_of(made).nodes] == [0, 0]


def test_all_machines_are_planned_alike_though_their_memory_is_not() -> None:
    small = node("cpu", 1)
    machines = [node("cpu", 0), replace(small, memory=small.memory // 2)]
    both = [
        service_of(planned("cpu", there=machines, rank=rank, model="qwen3-8b")).placement
        for rank in (0, 1)
    ]
    assert both[0].ledger == both[1].ledger
    assert sum(both[0].ledger.host.values()) < machines[1].memory


def test_memory_that_others_hold_on_one_machine_counts_for_both() -> None:
    def used(machine: Machine) -> Machine:
        gpus = tuple(
            replace(gpu, index=at, memory=81559 << 20, used=20 << 30 if at == 3 else 0)
            for at, gpu in enumerate(machine.gpus)
        )
        return replace(machine, gpus=gpus)

    free, taken = node("h800", 0), used(node("h800", 1))
    head, worker = (
        service_of(planned(there=[free, taken], rank=rank)).placement for rank in (0, 1)
    )
    assert head.gpu_memory_utilization == worker.gpu_memory_utilization
    assert head.gpu_memory_utilization is not None and head.gpu_memory_utilization < 0.8


def test_hops_lower_the_floor_and_shared_layers_more() -> None:
    def floor(**fields: Any) -> float:
        found = service_of(planned(**fields)).min_tokens_per_second
        assert found is not None
        return found

    alone = floor(name="h20", machines=1)
    two, four = floor(name="h20"), floor(name="h20", machines=4)
    assert alone >= two >= four
    assert floor(tensor_parallel=16) < floor()


def test_cards_that_share_layers_over_machines_are_warned_of() -> None:
    made = planned(name="rtx4090", model="qwen3-32b", tensor_parallel=16, pipeline_parallel=1)
    # Eight heads of keys and values repeat on sixteen cards; 64 of queries are dealt out.
    (warned,) = [each for each in made.warnings if "waits in every layer" in each]
    assert "tensor_parallel 16" in warned and "a pipeline of 2 asks little of" in warned
    assert not any("waits in every layer" in each for each in planned().warnings)
