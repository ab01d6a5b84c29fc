"""Networks whose layers do not all keep every token: windows (gpt-oss) and states (Qwen3.6)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from deploys.planning.engines.vllm import VLLM
from deploys.planning.hardware.gpus import named
from deploys.planning.inputs.profile import Service
from deploys.planning.models.cache import count_caching_layers, kv_bytes, request_bytes
from deploys.planning.models.catalogue import model
from deploys.planning.models.model import Model
from deploys.planning.placement.allocate import place
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.division import divides
from deploys.planning.placement.memory import (
    GIB,
    Card,
    Layout,
    fixed_cost_tokens,
    stages_of,
    token_bytes,
)
from deploys.planning.placement.offload import Split, all_gpu_layers, cache_of, server
from deploys.planning.placement.sharded_memory import copy_of
from tests.unit import UNIT
from tests.unit.planning.machines import machine

TABLES = yaml.safe_load((UNIT / "data" / "memory.yaml").read_text())
HYBRID = ["gpt-oss-20b", "gpt-oss-120b", "qwen3.6-27b", "qwen3.6-35b-a3b"]


def layout(tensor: int, pipeline: int = 1, **settings: Any) -> Layout:
    usual = {"takes": VLLM.takes, "kv_cache": "auto", "share": 0.92}
    return Layout(tensor_parallel=tensor, pipeline_parallel=pipeline, **{**usual, **settings})


def split(entry: Model, context: int, parallel: int = 1, gpu_layers: int | None = None) -> Split:
    return Split(
        context=context,
        parallel=parallel,
        kv_cache="auto",
        gpu_layers=all_gpu_layers(entry.network) if gpu_layers is None else gpu_layers,
        cpu_experts=0,
    )


def placed(key: str, gpu: str, count: int, **settings: Any) -> Placement:
    entry, accelerator = model(key), named(gpu)
    cards = [Card(index=index, total=accelerator.memory) for index in range(count)]
    engine: str = "llama.cpp" if entry.format == "gguf" else "vllm"
    service = Service(name="it", engine=engine, model=key, port=8000, **settings)
    return place(service, entry, entry.size, accelerator, cards, machine())


@pytest.mark.parametrize("row", TABLES["states"], ids=lambda row: row["model"])
def test_vllm_was_reported_to_hold_as_many_requests(row: dict[str, Any]) -> None:
    entry = model(row["model"])
    cut = layout(row["cards"], kv_cache="fp8")
    tokens = row["cache"] * GIB / token_bytes(entry, cut, range(entry.network.layers))
    requests = tokens / (row["context"] + fixed_cost_tokens(entry, cut))
    assert requests == pytest.approx(row["requests"], rel=0.015)


def test_a_window_weighs_as_much_as_its_tokens() -> None:
    entry = model("gpt-oss-120b")
    # As many layers look back 128 tokens as keep them all.
    assert request_bytes(entry) == 128 * kv_bytes(entry)
    assert fixed_cost_tokens(entry, layout(1)) == fixed_cost_tokens(entry, layout(8)) == 128


def test_a_state_is_a_matrix_for_each_head_and_what_the_convolution_needs() -> None:
    entry = model("qwen3.6-27b")
    one = (48 * 128 * 128 + 3 * (2 * 16 + 48) * 128) * 4
    assert request_bytes(entry) == one
    assert request_bytes(entry, tensor_parallel=8) == one // 8


@pytest.mark.parametrize("key", HYBRID)
@pytest.mark.parametrize("pipeline", [1, 2, 4, 5])
def test_layers_that_keep_every_token_are_counted_once_in_a_pipeline(
    key: str, pipeline: int
) -> None:
    network = model(key).network
    stages = stages_of(network, pipeline)
    whole = count_caching_layers(network)
    assert sum(count_caching_layers(network, stage) for stage in stages) == whole
    assert whole * network.full_attention_interval == network.layers


@pytest.mark.parametrize("key", HYBRID)
def test_the_cache_of_a_copy_is_dealt_to_those_layers_alone(key: str) -> None:
    entry = model(key)
    cards = [Card(index=index, total=80 * GIB) for index in range(2)]
    ledgers, tokens = copy_of(entry, entry.size, layout(2), cards)
    cache = min(ledger.lines["KV cache"] for ledger in ledgers)
    assert tokens == cache // (
        count_caching_layers(entry.network) * kv_bytes(entry, tensor_parallel=2)
    )


def test_llama_cpp_keeps_a_window_with_the_step_that_moves_it() -> None:
    entry = model("gpt-oss-20b-mxfp4")
    kept = cache_of(entry, split(entry, 8192, parallel=2))
    assert len(kept) == 24
    # Every second layer, the first among them: 128 tokens and 512 of the step, in whole blocks.
    assert set(kept[::2]) == {768 * kv_bytes(entry) * 2}
    assert set(kept[1::2]) == {8192 * kv_bytes(entry) * 2}
    # No more than the context has.
    assert set(cache_of(entry, split(entry, 256))) == {256 * kv_bytes(entry)}


def test_llama_cpp_keeps_a_state_for_each_request() -> None:
    entry = model("qwen3.6-35b-a3b-ud-q4_k_m")
    kept = cache_of(entry, split(entry, 8192, parallel=2))
    assert set(kept[3::4]) == {8192 * kv_bytes(entry) * 2}
    others = [size for layer, size in enumerate(kept) if layer % 4 != 3]
    assert set(others) == {request_bytes(entry) * 2}
    _, host = server(entry, entry.size, split(entry, 8192, gpu_layers=0), [])
    assert host["KV cache"] == sum(cache_of(entry, split(entry, 8192)))


def test_heads_of_linear_attention_are_dealt_out_whole() -> None:
    entry = model("qwen3.6-27b")
    assert [tensor for tensor in (1, 2, 4, 8, 24) if divides(entry, tensor)] == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("key", "gpu", "count"),
    [
        ("qwen3.6-27b-awq", "RTX 3090", 2),
        ("qwen3.6-27b-fp8", "L40S", 8),
        ("qwen3.6-35b-a3b-fp8", "RTX 6000 Ada", 4),
        ("qwen3.6-35b-a3b-ud-q4_k_m", "V100", 1),
        ("gpt-oss-120b", "H800", 8),
        ("gpt-oss-20b", "RTX 3090", 2),
        ("gpt-oss-20b-mxfp4", "V100", 1),
    ],
)
def test_a_plan_has_room_for_what_its_requests_keep_and_says_how_it_counts(
    key: str, gpu: str, count: int
) -> None:
    placement = placed(key, gpu, count)
    assert not placement.refusals
    assert all(card.free >= 0 for card in placement.ledger.cards)
    assert any("keep every token" in warning for warning in placement.warnings)
    if placement.gpu_memory_utilization is not None:
        entry = model(key)
        cut = layout(placement.tensor_parallel, placement.pipeline_parallel)
        fixed = fixed_cost_tokens(entry, cut)
        assert placement.parallel * fixed < placement.ledger.kv_tokens
        assert placement.context + fixed <= placement.ledger.kv_tokens // placement.replicas


def test_a_network_that_keeps_all_is_not_warned_of() -> None:
    placement = placed("qwen3-32b-fp8", "H800", 1)
    assert not any("keep every token" in warning for warning in placement.warnings)


def test_a_request_that_fits_but_for_its_states_is_refused() -> None:
    entry = model("qwen3.6-27b")
    # With as many requests each time, as each of them takes a part of the memory.
    beside = {"gpu_memory_utilization": 0.8, "parallel": 8}
    room = placed("qwen3.6-27b", "A100", 1, context=4096, **beside)
    assert not room.refusals
    held = room.ledger.kv_tokens // room.replicas
    fixed = fixed_cost_tokens(entry, layout(1))
    assert fixed > 1000
    refused = placed("qwen3.6-27b", "A100", 1, context=held - fixed // 2, **beside)
    assert refused.refusals
    assert f"Set context to {(held - fixed) // 256 * 256} or less" in refused.refusals[0].hint
