"""MLA's cache is kept once where the pinned engine can; data/attention.yaml has its own words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploys.planning.engines.base import FillsCards
from deploys.planning.engines.vllm import VLLM
from deploys.planning.hardware.gpus import ACCELERATORS, named
from deploys.planning.hardware.software_stacks import STACKS
from deploys.planning.inputs.profile import KvCache, Performance, Service
from deploys.planning.models.catalogue import model
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.placement.allocate import place
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.memory import GIB, Card, Layout, card_weights
from deploys.planning.placement.sharded_memory import chunk, copy_of
from tests.unit import UNIT
from tests.unit.planning.machines import machine

TABLES = yaml.safe_load((UNIT / "data" / "attention.yaml").read_text())
HOST = machine(memory=4096 * GIB)
R1 = model("deepseek-r1")


def placed(
    entry: Model, gpu: str, count: int = 8, *, engine: str = "vllm", **settings: Any
) -> Placement:
    accelerator = named(gpu)
    service = Service(name="it", engine=engine, model=entry, port=8000, **settings)
    cards = [Card(index=index, total=accelerator.memory, numa=0) for index in range(count)]
    return place(service, entry, entry.size, accelerator, cards, HOST)


def test_the_sources_are_of_the_pinned_engines() -> None:
    stack = next(stack for stack in STACKS if stack.name == "cuda13")
    assert TABLES["versions"] == {name: stack.engines[name] for name in ("vllm", "sglang")}
    assert {row["engine"] for row in TABLES["relied_on"]} == set(TABLES["versions"])


def test_the_record_has_what_the_sources_say_of_each_kernel() -> None:
    takes = VLLM.takes
    assert isinstance(takes, FillsCards)
    said: dict[tuple[str, str], set[str]] = {}
    for row in TABLES["kernels"]:
        for what in ("parts", "drafting"):
            if row[what]:
                said.setdefault((what, row["cache"]), set()).update(row["compute"])
    assert set(takes.mla.parts) == said["parts", "auto"]
    assert set(takes.mla.parts_in_fp8) == said["parts", "fp8"]
    assert set(takes.mla.drafting) == said["drafting", "auto"]


@pytest.mark.parametrize("row", TABLES["kept"], ids=lambda row: f"{row['gpu']} {row['engine']}")
def test_the_cache_is_kept_once(row: dict[str, Any]) -> None:
    placement = placed(
        model(row["model"]), row["gpu"], engine=row["engine"], context=row["context"]
    )
    assert not placement.refusals
    ways = {"context": placement.context_parallel, "data": placement.data_parallel}
    assert ways == {"context": 1, "data": 1, row["way"]: 8}
    assert row["least"] * 1000 <= placement.ledger.kv_tokens < 8 * row["before"] * 1000
    # A token is on one card, and the page says how that is.
    assert placement.ledger.kv_bytes == 70_272
    assert any("MLA" in reason for reason in placement.reasons)


@pytest.mark.parametrize(
    ("performance", "gpu", "expected"),
    [
        ("latency", "B200", (1, 1)),
        ("balanced", "B200", (8, 1)),
        ("throughput", "B200", (1, 8)),
        # One cache of each card's own is too small for four requests, and attention is too large.
        ("latency", "H20", (8, 1)),
        ("throughput", "H20", (8, 1)),
    ],
)
def test_what_waits_least_and_what_answers_most(
    performance: Performance, gpu: str, expected: tuple[int, int]
) -> None:
    placement = placed(R1, gpu, performance=performance)
    assert (placement.context_parallel, placement.data_parallel) == expected
    assert placement.expert_parallel is (expected[1] > 1)
    for ledger in placement.ledger.cards:
        assert max(ledger.planned, ledger.loading) <= ledger.total


# One accelerator of each kind of kernels.
KINDS = {gpu.compute: gpu.name for gpu in ACCELERATORS.values() if gpu.memory > 60 * GIB}


@pytest.mark.parametrize("gpu", KINDS.values())
@pytest.mark.parametrize("kv_cache", ["auto", "fp8"])
@pytest.mark.parametrize("performance", ["latency", "balanced", "throughput"])
def test_no_parts_where_the_engine_has_no_kernels_for_them(
    gpu: str, kv_cache: KvCache, performance: Performance
) -> None:
    compute = named(gpu).compute
    kernels = [
        row
        for row in TABLES["kernels"]
        if compute in row["compute"] and row["cache"] == kv_cache and row["parts"]
    ]
    for key in ("deepseek-r1-awq", "deepseek-v3.2", "kimi-k2-instruct"):
        placement = placed(model(key), gpu, kv_cache=kv_cache, performance=performance)
        if placement.context_parallel > 1 and not placement.refusals:
            assert kernels and key != "deepseek-v3.2"
            assert not placement.mtp or kernels[0]["drafting"]
        assert placed(model(key), gpu, engine="sglang").context_parallel == 1


def test_only_mla_has_one_vector_for_all_heads() -> None:
    for key in ("qwen3-235b-a22b-instruct-2507", "deepseek-r1-distill-llama-70b"):
        for engine in ("vllm", "sglang"):
            placement = placed(model(key), "H200", engine=engine, performance="throughput")
            assert (placement.context_parallel, placement.data_parallel) == (1, 1)


def test_sglang_has_either_copies_or_cards_that_attend_apart() -> None:
    one, two = (
        placed(model("deepseek-r1-awq"), "H200", engine="sglang", replicas=replicas)
        for replicas in (1, 2)
    )
    assert one.replicas == 1 and one.data_parallel == one.tensor_parallel > 1
    assert (two.replicas, two.data_parallel) == (2, 1)
    assert any("further replicas" in reason for reason in two.reasons)


def test_copies_of_vllm_share_the_experts_of_a_model() -> None:
    entry = model("qwen3-30b-a3b-instruct-2507")
    alone, shared = placed(entry, "H200", 1), placed(entry, "H200", 2)
    assert (shared.replicas, shared.expert_parallel, alone.expert_parallel) == (2, True, False)
    half = alone.ledger.cards[0].lines["weights"] / 2
    assert half < shared.ledger.cards[0].lines["weights"] < 1.1 * half
    assert any("share the experts" in reason for reason in shared.reasons)
    # A network without experts is there twice, and so it is with SGLang.
    dense = placed(model("qwen3-32b"), "H200", 2)
    assert (dense.replicas, dense.expert_parallel) == (2, False)
    apart = placed(entry, "H200", 2, engine="sglang")
    assert apart.ledger.cards[0].lines["weights"] == alone.ledger.cards[0].lines["weights"]


def test_each_way_is_counted() -> None:
    takes = VLLM.takes
    assert isinstance(takes, FillsCards)
    plain = Layout(
        **{"takes": takes, "tensor_parallel": 8, "pipeline_parallel": 1, "kv_cache": "auto"},
        **{"share": 0.92, "sequences": 256, "compute": "9.0"},
    )
    parts = replace(plain, context_parallel=8)
    data = replace(plain, data_parallel=8, ranks=8, experts_whole=True, sequences=32)
    cards = [Card(index=index, total=named("H200").memory) for index in range(8)]
    found = {
        name: copy_of(R1, R1.size, layout, cards)
        for name, layout in {"plain": plain, "parts": parts, "data": data}.items()
    }
    weights = {name: ledgers[0].lines["weights"] for name, (ledgers, _) in found.items()}
    caches = {name: ledgers[0].lines["KV cache"] for name, (ledgers, _) in found.items()}
    assert weights["plain"] == weights["parts"]
    # 17 billion parameters are no routed experts, MLA's are there in 16 bits, too.
    assert 14 * GIB < weights["data"] - weights["plain"] < 21 * GIB
    # Tokens of a cache that eight cards hold together, and of one of eight caches.
    assert found["parts"][1] // 8 == pytest.approx(caches["parts"] / 70_272, abs=2)
    assert found["data"][1] == pytest.approx(caches["data"] / 70_272, abs=2)


def test_copies_that_share_experts_have_those_of_every_token_whole() -> None:
    takes = VLLM.takes
    assert isinstance(takes, FillsCards)
    alone = Layout(takes=takes, tensor_parallel=4, pipeline_parallel=1, kv_cache="auto", share=0.92)
    two = replace(alone, ranks=2, experts_whole=True)
    split, stage = parts(R1, R1.size), range(R1.network.layers)
    routed, shared = sum(split.experts[: len(stage)]), sum(split.shared[: len(stage)])
    # 58 layers with one such expert of 3 x 7168 x 2048 weights, in FP8.
    assert shared == pytest.approx(58 * 3 * 7168 * 2048, rel=0.05)
    saved = card_weights(R1, split, stage, alone) - card_weights(R1, split, stage, two)
    assert saved == pytest.approx(routed / 4 - routed / 8 - shared * 3 / 4, rel=0.001)


def test_a_step_has_room_for_a_token_of_each_request() -> None:
    takes, card = VLLM.takes, Card(index=0, total=named("H200").memory)
    assert isinstance(takes, FillsCards)
    shared = Layout(
        **{"takes": takes, "tensor_parallel": 8, "pipeline_parallel": 1, "kv_cache": "auto"},
        **{"share": 0.92, "data_parallel": 8, "ranks": 8, "experts_whole": True},
    )
    found = [chunk(replace(shared, sequences=count), card) for count in (None, 32, 3000)]
    assert found == [1024, 1024, 3000]


def test_requests_follow_the_cache() -> None:
    """Twice the context, half the requests; and an operator's own number stands."""
    admitted = [placed(R1, "H200", context=context).parallel for context in (65_536, 131_072)]
    assert admitted[0] == 2 * admitted[1]
    assert placed(R1, "H200", context=131_072, parallel=16).parallel == 16
    few = placed(model("deepseek-r1-distill-qwen-32b-awq"), "RTX 4090", context=16_384)
    assert few.parallel == 128


def test_sglang_takes_smaller_chunks_where_its_own_leave_no_cache() -> None:
    placement = placed(R1, "H20", engine="sglang", context=32_768)
    assert not placement.refusals
    assert placement.chunk == 2048 and (placement.gpu_memory_utilization or 0) > 0.9
    assert placement.ledger.kv_tokens > 100_000
    roomy = placed(R1, "H200", engine="sglang", context=32_768)
    assert roomy.chunk is None


def test_for_latency_a_request_gets_the_shape_that_it_waits_least_for() -> None:
    entry = model("deepseek-r1-distill-llama-70b-fp8")
    shapes = {
        performance: (placement.tensor_parallel, placement.pipeline_parallel)
        for performance in ("latency", "balanced")
        for placement in [placed(entry, "RTX 6000 Ada", 4, performance=performance)]
    }
    assert shapes == {"latency": (4, 1), "balanced": (2, 2)}
    # More cards have to be worth it, or copies are more use; few bytes are read soonest by one.
    packed = placed(model("deepseek-r1-distill-qwen-32b-awq"), "RTX 4090", performance="latency")
    assert (packed.tensor_parallel, packed.replicas) == (4, 2)
    small = placed(model("deepseek-r1-distill-qwen-7b"), "H200", performance="latency")
    assert small.tensor_parallel == 1
    # What the operator names stays.
    named_by_hand = placed(entry, "RTX 6000 Ada", 4, performance="latency", tensor_parallel=2)
    assert named_by_hand.tensor_parallel == 2
