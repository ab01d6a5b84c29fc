"""What llama.cpp keeps where, against what it reported on a GPU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploys.planning.catalogue import model
from deploys.planning.memory import MIB, Card
from deploys.planning.model import Model
from deploys.planning.network import kv_bytes, parts, weights
from deploys.planning.offload import Split, everything, server

HERE = Path(__file__).parent
TABLES = yaml.safe_load((HERE / "data" / "memory.yaml").read_text())
RUNS = [
    (result["models"][run["case"]["model"]], run)
    for path in sorted((HERE.parent / "gpu" / "results").glob("*.json"))
    for result in [json.loads(path.read_text())]
    for run in result.get("runs", ())
    if run["case"].get("ubatch") == 512
]


def split(entry: Model, **settings: Any) -> Split:
    usual = {"context": 8192, "parallel": 1, "kv_cache": "auto", "cpu_experts": 0}
    return Split(**{**usual, "gpu_layers": everything(entry), **settings})


def cards(count: int, gibibytes: int = 80) -> list[Card]:
    return [Card(index=index, total=gibibytes << 30) for index in range(count)]


@pytest.mark.parametrize("row", TABLES["buffers"], ids=lambda row: f"{row['model']} {row['cells']}")
def test_compute_buffers_are_those_that_were_reported(row: dict[str, Any]) -> None:
    entry = model(row["model"])
    ledgers, host = server(entry, entry.size, split(entry, context=row["cells"]), cards(1))
    assert ledgers[0].lines["compute buffer"] / MIB == pytest.approx(row["card"], abs=0.05)
    assert host["compute buffer"] / MIB == pytest.approx(row["host"], abs=0.05)


@pytest.mark.parametrize(("shape", "run"), RUNS)
def test_a_run_on_a_gpu_took_what_is_planned(shape: dict[str, Any], run: dict[str, Any]) -> None:
    """Weights and cache within 2 %, all of it within 5 %."""
    case, reported = run["case"], run["buffers_mib"]
    entry = measured(shape, run["file"])
    settings = {name: case[name] for name in ("context", "parallel", "cpu_experts")}
    settings["kv_cache"] = "auto" if case["kv_cache"] == "f16" else case["kv_cache"]
    if case["gpu_layers"] is not None:
        settings["gpu_layers"] = case["gpu_layers"]
    used = run["driver_mib"]["used"]
    used = used if isinstance(used, list) else [used]
    ledgers, _ = server(entry, run["file"], split(entry, **settings), cards(len(used), 140))
    for ledger, taken in zip(ledgers, used, strict=True):
        card = f"CUDA{ledger.index}"
        lines = {purpose: size / MIB for purpose, size in ledger.lines.items()}
        kept = lines["weights"] + lines["KV cache"]
        # How wide what is not an expert is kept, is an estimate; alone on a card it shows.
        spread = 80 if case["cpu_experts"] else 0
        taken_up = reported["model"][card] + reported["kv"][card]
        assert kept == pytest.approx(taken_up, rel=0.02, abs=spread)
        total = kept + lines["compute buffer"] + lines["CUDA context"]
        assert total == pytest.approx(taken, rel=0.05)


def measured(shape: dict[str, Any], size: int) -> Model:
    """The model of a result: its shape by the names that tests/gpu gives them."""
    entry = Model(
        key="measured",
        title="",
        format="gguf",
        quantization=shape["quantization"],
        files=(),
        size=size,
        parameters=1,
        layers=shape["layers"],
        hidden=shape["hidden"],
        heads=shape["heads"],
        kv_heads=shape["kv_heads"],
        head_dim=shape["head_dim"],
        kv_lora_rank=shape["kv_lora_rank"],
        rope_head_dim=shape["rope_head_dim"],
        q_lora_rank=shape["q_lora_rank"],
        vocabulary=shape["vocabulary"],
        tied_embeddings=shape["tied"],
        intermediate=shape["feed_forward"],
        experts=shape["experts"],
        experts_used=shape["active_experts"],
        shared_experts=1 if shape["experts"] else 0,
        expert_intermediate=shape["expert_feed_forward"],
        dense_layers=shape["dense_layers"],
        context=163_840,
        licence="",
        source="",
    )
    return replace(entry, parameters=weights(entry))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_cards_and_host_together_hold_all_weights_once(count: int) -> None:
    entry = model("deepseek-r1-distill-llama-70b-q4_k_m")
    whole = parts(entry, entry.size)
    for gpu_layers in (0, 1, 40, everything(entry)):
        ledgers, host = server(entry, entry.size, split(entry, gpu_layers=gpu_layers), cards(count))
        held = sum(ledger.lines.get("weights", 0) for ledger in ledgers) + host["weights"]
        assert held == whole.total
        cached = sum(ledger.lines.get("KV cache", 0) for ledger in ledgers)
        cached += host.get("KV cache", 0)
        assert cached == kv_bytes(entry) * entry.layers * 8192


def test_layers_are_dealt_out_by_free_memory() -> None:
    entry = model("deepseek-r1-distill-llama-70b-q4_k_m")
    uneven = [Card(index=0, total=24 << 30), Card(index=1, total=48 << 30)]
    small, large = server(entry, entry.size, split(entry), uneven)[0]
    # 81 layers by 23.5 and 47.4 GiB: 27 and 54, the head among the latter.
    a_layer = parts(entry, entry.size).layers[0]
    assert small.lines["weights"] == 27 * a_layer
    assert large.lines["weights"] == 53 * a_layer + parts(entry, entry.size).head


def test_a_context_is_kept_in_whole_blocks_for_each_request() -> None:
    entry = model("deepseek-r1-distill-qwen-7b-q4_k_m")
    assert split(entry, context=1000, parallel=3).cells == 1024
    _, host = server(entry, entry.size, split(entry, context=1000, parallel=3, gpu_layers=0), [])
    assert host["KV cache"] == kv_bytes(entry) * entry.layers * 1024 * 3


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
