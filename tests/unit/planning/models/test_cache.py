"""What networks keep whose layers differ: of tokens, and of requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.checkpoint.architectures import network
from deploys.planning.engines.vllm import VLLM
from deploys.planning.hardware.gpus import named
from deploys.planning.inputs.profile import Service
from deploys.planning.models.cache import (
    cache_bytes,
    caches_every_token,
    count_caching_layers,
    fixed_bytes,
    kv_bytes,
    request_bytes,
)
from deploys.planning.models.catalogue import model
from deploys.planning.models.model import Model
from deploys.planning.placement.allocate import place
from deploys.planning.placement.division import divides
from deploys.planning.placement.memory import (
    GIB,
    Card,
    Layout,
    fixed_cost_tokens,
    token_bytes,
    unpacked_mla_weights,
)
from deploys.planning.placement.offload import Split, cache_of
from tests.unit.planning.checkpoint.checkpoints import documents
from tests.unit.planning.machines import machine

V4, GLM, M3 = "deepseek-ai--DeepSeek-V4-Flash-0731", "zai-org--GLM-5.2", "MiniMaxAI--MiniMax-M3"
K3, GEMMA, MIMO = "moonshotai--Kimi-K3", "google--gemma-4-31B-it", "XiaomiMiMo--MiMo-V2-Flash"
SCOUT = "meta-llama--Llama-4-Scout-17B-16E-Instruct"


def of(name: str, size: int | None = None) -> Model:
    made = network(documents(name), name)
    return Model(
        key=name.lower(),
        title=name,
        network=made,
        format="safetensors",
        quantization="FP8",
        huggingface=name.replace("--", "/"),
        files=("*.safetensors",),
        size=size or made.parameters,
        source="its documents",
    )


def layout(tensor: int = 1, pipeline: int = 1) -> Layout:
    return Layout(
        takes=VLLM.takes,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        kv_cache="auto",
        share=0.9,
    )


def test_compressed_entries_are_for_several_tokens_and_those_of_an_indexer_too() -> None:
    entry = of(V4)
    ratios = entry.network.compressed.ratios if entry.network.compressed else ()
    assert {ratio: ratios.count(ratio) for ratio in set(ratios)} == {1: 2, 4: 21, 128: 20}
    # 584 bytes an entry, and 132 of an indexer's, in the layers that compress four tokens.
    assert cache_bytes(entry) == int(21 * (584 + 132) / 4 + 20 * 584 / 128)
    # Every card holds all of it, in FP8 or not.
    assert cache_bytes(entry, "fp8", tensor_parallel=8) == cache_bytes(entry)


def test_what_is_not_compressed_yet_is_kept_of_every_request() -> None:
    entry = of(V4)
    window = 128 * 584
    fours, others = 8 * 4 * (512 + 128) * 4, 128 * 2 * 512 * 4
    kept = fixed_bytes(entry, range(43))
    assert kept == 43 * window + 21 * fours + 20 * others
    assert fixed_cost_tokens(entry, layout()) == kept // cache_bytes(entry)


def test_layers_that_follow_anothers_indexer_keep_no_keys_of_their_own() -> None:
    entry = of(GLM)
    alone = entry.network.index_layers or ()
    assert 0 < len(alone) < 78
    assert cache_bytes(entry) == 78 * 2 * (512 + 64) + len(alone) * 132
    every = replace(entry, network=replace(entry.network, index_layers=None))
    assert cache_bytes(every) == 78 * kv_bytes(entry)


def test_an_indexer_without_mla_keeps_its_keys_in_16_bits() -> None:
    entry = of(M3)
    assert cache_bytes(entry) == 60 * 2 * 4 * 128 * 2 + 57 * 128 * 2
    # Cards share the heads, and each has the indexer's keys.
    assert cache_bytes(entry, tensor_parallel=4) == 60 * 2 * 128 * 2 + 57 * 128 * 2


def test_latent_vectors_and_states_stand_in_one_network() -> None:
    entry = of(K3)
    whole = entry.network.full_attention_layers or ()
    assert len(whole) == count_caching_layers(entry.network) == 24
    assert cache_bytes(entry) == 24 * 2 * (512 + 64)
    assert fixed_bytes(entry, range(93)) == 69 * request_bytes(entry)
    assert request_bytes(entry) == 4 * (96 * 128 * 128 + 3 * 96 * 128 * 3)


def test_windows_have_heads_of_their_own() -> None:
    gemma, mimo, scout = of(GEMMA), of(MIMO), of(SCOUT)
    assert request_bytes(gemma) == 1024 * 2 * 16 * 256 * 2
    assert cache_bytes(gemma) == 10 * 2 * 4 * 512 * 2
    assert request_bytes(mimo) == 128 * 8 * (192 + 128) * 2
    assert cache_bytes(mimo) == 9 * 4 * (192 + 128) * 2
    # A chunk is a window that begins anew.
    assert request_bytes(scout) == 8192 * 2 * 8 * 128 * 2


def test_layers_that_read_the_cache_of_another_have_none() -> None:
    entry = of(GEMMA)
    shared = replace(entry, network=replace(entry.network, shared_cache_layers=18))
    assert count_caching_layers(shared.network) == 7
    assert not caches_every_token(shared.network, 59)
    assert cache_bytes(shared) == 7 * kv_bytes(entry)
    assert fixed_bytes(shared, range(60)) == 35 * request_bytes(entry)
    split = Split(context=8192, parallel=1, kv_cache="auto", gpu_layers=61, cpu_experts=0)
    kept = cache_of(shared, split)
    assert len(kept) == 60 and set(kept[42:]) == {0} and all(kept[:42])


def test_a_stage_that_keeps_no_tokens_has_a_cache_all_the_same() -> None:
    entry = of(V4)
    assert token_bytes(entry, layout(), range(2)) == kv_bytes(entry)


def test_a_network_whose_layers_are_alike_is_counted_as_before() -> None:
    for key in ("qwen3-32b", "deepseek-v3.2", "qwen3.6-27b"):
        entry = model(key)
        layers = count_caching_layers(entry.network)
        assert cache_bytes(entry) == layers * kv_bytes(entry)
        assert cache_bytes(entry, layers=range(4)) == kv_bytes(entry) * count_caching_layers(
            entry.network, range(4)
        )


def test_groups_of_heads_are_dealt_out_whole() -> None:
    entry = replace(of(V4), quantization="BF16")
    assert [tensor for tensor in (1, 2, 4, 8, 16) if divides(entry, tensor)] == [1, 2, 4, 8]


def test_what_mla_unpacks_is_of_the_layers_that_have_it() -> None:
    entry = of(K3)
    assert unpacked_mla_weights(entry, range(93), 8) == 24 * 512 * 96 * (128 + 128) * 2 // 8
    assert unpacked_mla_weights(of(V4), range(43), 8) == 0


def test_heads_of_windows_are_dealt_out_whole() -> None:
    made = replace(of("Qwen--Qwen3-32B").network, window_heads=96)
    entry = replace(of("Qwen--Qwen3-32B"), network=made, quantization="BF16")
    assert [tensor for tensor in (1, 2, 4, 8, 64) if divides(entry, tensor)] == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("name", "gpu", "count", "size"),
    [
        (V4, "H200", 8, 160 * GIB),
        (GLM, "H200", 8, 760 * GIB),
        (M3, "H200", 8, 440 * GIB),
        (GEMMA, "H800", 2, 33 * GIB),
        (MIMO, "H200", 8, 315 * GIB),
        (SCOUT, "H200", 4, 112 * GIB),
    ],
)
def test_each_is_planned_with_room_for_what_it_keeps(
    name: str, gpu: str, count: int, size: int
) -> None:
    entry, accelerator = of(name, size), named(gpu)
    cards = [Card(index=index, total=accelerator.memory) for index in range(count)]
    service = Service(name="it", engine="vllm", model=entry, port=8000)
    placement = place(service, entry, size, accelerator, cards, machine())
    assert not placement.refusals, placement.refusals
    assert all(card.free >= 0 for card in placement.ledger.cards)
    assert placement.ledger.kv_tokens > 100_000
