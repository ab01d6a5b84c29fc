"""What llama.cpp keeps where, against what it reported on a GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploys.planning.hardware.gpus import named
from deploys.planning.inputs.profile import Service
from deploys.planning.models.cache import kv_bytes
from deploys.planning.models.catalogue import model
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.placement.allocate import place
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.memory import GIB, MIB, Card
from deploys.planning.placement.offload import Split, all_gpu_layers, compute_buffer, server
from tests.unit import UNIT
from tests.unit.planning.machines import machine

TABLES = yaml.safe_load((UNIT / "data" / "memory.yaml").read_text())


def split(entry: Model, **settings: Any) -> Split:
    usual = {"context": 8192, "parallel": 1, "kv_cache": "auto", "cpu_experts": 0}
    return Split(**{**usual, "gpu_layers": all_gpu_layers(entry.network), **settings})


def cards(count: int, gibibytes: int = 80) -> list[Card]:
    return [Card(index=index, total=gibibytes << 30) for index in range(count)]


@pytest.mark.parametrize("row", TABLES["buffers"], ids=lambda row: f"{row['model']} {row['cells']}")
def test_compute_buffers_are_those_that_were_reported(row: dict[str, Any]) -> None:
    entry = model(row["model"])
    ledgers, host = server(entry, entry.size, split(entry, context=row["cells"]), cards(1))
    assert ledgers[0].lines["compute buffer"] / MIB == pytest.approx(row["card"], abs=0.05)
    assert host["compute buffer"] / MIB == pytest.approx(row["host"], abs=0.05)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_cards_and_host_together_hold_all_weights_once(count: int) -> None:
    entry = model("deepseek-r1-distill-llama-70b-q4_k_m")
    whole = parts(entry, entry.size)
    for gpu_layers in (0, 1, 40, all_gpu_layers(entry.network)):
        ledgers, host = server(entry, entry.size, split(entry, gpu_layers=gpu_layers), cards(count))
        held = sum(ledger.lines.get("weights", 0) for ledger in ledgers) + host["weights"]
        assert held == whole.total
        cached = sum(ledger.lines.get("KV cache", 0) for ledger in ledgers)
        cached += host.get("KV cache", 0)
        assert cached == kv_bytes(entry) * entry.network.layers * 8192


def test_layers_are_dealt_out_by_free_memory() -> None:
    entry = model("deepseek-r1-distill-llama-70b-q4_k_m")
    uneven = [Card(index=0, total=24 << 30), Card(index=1, total=48 << 30)]
    small, large = server(entry, entry.size, split(entry), uneven)[0]
    # 81 layers by 23.5 and 47.4 GiB: 27 and 54, the head among the latter.
    a_layer = parts(entry, entry.size).layers[0]
    assert small.lines["weights"] == 27 * a_layer
    assert large.lines["weights"] == 53 * a_layer + parts(entry, entry.size).head


@pytest.mark.parametrize("tied", [False, True])
def test_a_python_engine_looks_words_up_on_the_card(tied: bool) -> None:
    """KTransformers: but for the experts, the whole model is there, and a tied head only once."""
    entry = model("qwen3-235b-a22b-instruct-2507-fp8")
    network = replace(entry.network, tied_embeddings=tied)
    entry = replace(entry, network=network)
    whole = parts(entry, entry.size)
    given = {"cpu_experts": network.layers, "embedding_on_card": True}
    (card,), host = server(entry, entry.size, split(entry, **given), cards(1))
    assert card.lines["weights"] == whole.total - sum(whole.experts)
    assert host.get("weights", 0) == sum(whole.experts)


def test_a_context_is_kept_in_whole_blocks_for_each_request() -> None:
    entry = model("deepseek-r1-distill-qwen-7b-q4_k_m")
    assert split(entry, context=1000, parallel=3).cells == 1024
    _, host = server(entry, entry.size, split(entry, context=1000, parallel=3, gpu_layers=0), [])
    assert host["KV cache"] == kv_bytes(entry) * entry.network.layers * 1024 * 3


def test_prompts_are_read_in_large_steps_where_experts_are_in_host_memory() -> None:
    """Each step has all of them sent to the card; one that holds all reads as llama.cpp does."""
    # As files of today keep their cache.
    entry, gpu = replace(model("deepseek-r1-ud-iq2_xxs"), legacy_cache=False), named("RTX 4090")

    def placed(count: int, host: int, used: int = 0, **settings: Any) -> Placement:
        service = Service(name="it", engine="llama.cpp", model=entry, port=8000, **settings)
        there = [Card(index=index, total=gpu.memory, used=used) for index in range(count)]
        return place(service, entry, entry.size, gpu, there, machine(memory=host * GIB))

    low = placed(1, 512)
    assert low.cpu_experts and not low.refusals
    assert low.chunk == 2048
    assert any("2048 tokens at a time" in reason for reason in low.reasons)
    # The step's tensors are counted, and it stays small where they would leave no room.
    small, large = (
        compute_buffer(entry, split(entry, cpu_experts=61, step=n)) for n in (512, 2048)
    )
    assert large == 4 * small
    tight = [placed(1, 512, cpu_experts=61, context=512 * times) for times in (16, 64, 128, 256)]
    assert {each.chunk for each in tight if not each.refusals} <= {None, 2048}
    assert placed(16, 512).chunk is None


def test_experts_in_host_memory_leave_the_card_and_cost_it_a_copy() -> None:
    entry = model("deepseek-r1-q4_k_m")
    whole = parts(entry, entry.size)
    (at_home,), _ = server(entry, entry.size, split(entry), cards(1))
    (away,), host = server(entry, entry.size, split(entry, cpu_experts=10), cards(1))
    moved = sum(whole.experts[:10])
    assert moved > 0 and whole.experts[:3] == (0, 0, 0)
    assert at_home.lines["weights"] - away.lines["weights"] == moved
    assert host["weights"] == whole.embedding + moved
    assert away.lines["compute buffer"] > at_home.lines["compute buffer"]
    assert max(whole.experts) / 3 < away.lines["compute buffer"] < max(whole.experts)
