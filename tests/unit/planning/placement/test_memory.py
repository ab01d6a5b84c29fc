"""The ledger's arithmetic against public tables and what engines reported; data/memory.yaml."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploys.planning.engines.base import FillsCards
from deploys.planning.engines.filled_cards import FixedShare
from deploys.planning.engines.sglang import SGLANG
from deploys.planning.engines.vllm import VLLM
from deploys.planning.hardware.gpus import named
from deploys.planning.inputs.profile import Service
from deploys.planning.models.cache import kv_bytes
from deploys.planning.models.catalogue import CATALOGUE, model
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.models.parameters import parameter_count
from deploys.planning.placement.allocate import place
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.layouts import beside
from deploys.planning.placement.memory import (
    GIB,
    Card,
    Layout,
    card_weights,
    driver_reserve,
    stages_of,
    unpacked_mla_weights,
)
from deploys.planning.placement.sharded_memory import converting, copy_of
from tests.gpu.networks import NETWORKS
from tests.unit import UNIT
from tests.unit.planning.machines import machine
from tests.unit.planning.plan_examples import reshaped

TABLES = yaml.safe_load((UNIT / "data" / "memory.yaml").read_text())
EVERY = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE.keys())


def rows(table: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "row", TABLES[table], ids=lambda row: " ".join(map(str, row.values()))
    )


def visible(gibibytes: float, count: int) -> list[Card]:
    """Cards of which programs see that much."""
    seen = int(gibibytes * GIB)
    total = seen + driver_reserve(seen)
    return [Card(index=index, total=total) for index in range(count)]


def layout(tensor: int, **settings: Any) -> Layout:
    usual = {"takes": VLLM.takes, "pipeline_parallel": 1, "kv_cache": "auto", "share": 0.92}
    return Layout(tensor_parallel=tensor, **{**usual, **settings})


# Published in billions, and not to the last digit; DeepSeek-V3.2 as the network it was made of.
# GLM-4.6 and 4.7 count some of the layer that predicts one token more, the others are rounded.
ROUNDED = (
    *("deepseek-v3.2", "deepseek-v4-flash", "glm-4.", "glm-5.2", "gpt-oss-120b", "kimi-k3"),
    *("minimax-m3", "qwen3-235b", "qwen3-coder-480b", "qwen3-next", "qwen3-vl-235b"),
    *("qwen3.5-", "qwen3.6-", "qwen3.8-"),
)
# Published with what sees images, which has no part in the shape.
SEEING = ("gemma-4-", "llama-4-", "qwen3-vl-8b", "qwen3-vl-3")


@EVERY
def test_the_shape_multiplies_out_to_the_published_count_of_weights(entry: Model) -> None:
    # BERT has a vector for each of its places, two of them for padding, and a bias for each matrix.
    encoder = not entry.network.causal
    places = (entry.network.context + 2) * entry.network.hidden if encoder else 0
    within = 1e-2 if encoder or entry.key.startswith(ROUNDED) else 2e-4
    within = 7e-2 if entry.key.startswith(SEEING) else within
    found, published = parameter_count(entry.network) + places, entry.network.parameters
    assert found == pytest.approx(published, rel=within), (
        f"the numbers of {entry.network.name} multiply out to {found:,} weights, and {published:,}"
        " are said: compare both with config.json"
    )


@EVERY
def test_the_parts_add_up_to_the_files(entry: Model) -> None:
    split = parts(entry, entry.size)
    assert split.total == pytest.approx(entry.size, abs=1000)
    assert len(split.layers) == entry.network.layers + entry.network.mtp_layers
    assert all(0 <= own <= layer for own, layer in zip(split.experts, split.layers, strict=True))
    assert min(split.layers) > 0


@rows("weights")
def test_weights(row: dict[str, Any]) -> None:
    entry = model(row["model"])
    outer = 2 * (entry.network.vocabulary or 0) * entry.network.hidden
    inner = parameter_count(entry.network) - outer
    if entry.network.mtp_layers:
        layer = replace(entry.network, layers=1, dense_layers=0)
        inner += (parameter_count(layer) - outer) * entry.network.mtp_layers
        outer *= 2
    computed = inner * row["bits"] / 8 + outer * 2
    assert computed / 1e9 == pytest.approx(row["gigabytes"], rel=row["within"])


@rows("listings")
def test_files_that_were_listed(row: dict[str, Any]) -> None:
    assert model(row["model"]).size == row["bytes"]
    assert row["bytes"] / GIB == pytest.approx(row["gibibytes"], abs=0.005)


@rows("cache")
def test_cache(row: dict[str, Any]) -> None:
    entry = model(row["model"])
    a_token = kv_bytes(entry, row.get("kv_cache", "auto")) * entry.network.layers
    assert a_token == row["bytes"]
    for tokens, gibibytes in zip((8192, 32_768, 131_072), row["gibibytes"], strict=True):
        assert a_token * tokens / GIB == pytest.approx(gibibytes, rel=0.03)


def test_sparse_mla_keeps_656_bytes_in_fp8_and_the_keys_of_its_indexer() -> None:
    sparse = reshaped(model("deepseek-r1"), index_head_dim=128)
    assert sparse.network.attention == "sparse-mla"
    assert kv_bytes(sparse, "fp8") == 656 + 132
    assert kv_bytes(sparse) == 576 * 2 + 132


@pytest.mark.parametrize(
    ("key", "tensor", "expected"),
    [
        ("deepseek-r1-distill-llama-70b", 1, 4096),
        ("deepseek-r1-distill-llama-70b", 8, 512),
        ("deepseek-r1-distill-llama-70b", 16, 512),  # eight heads: two cards hold the same
        ("deepseek-r1", 1, 1152),
        ("deepseek-r1", 8, 1152),  # MLA: every card holds the whole
    ],
)
def test_what_a_card_holds_of_a_layers_cache(key: str, tensor: int, expected: int) -> None:
    assert kv_bytes(model(key), tensor_parallel=tensor) == expected


def table_tokens(entry: Model, row: dict[str, Any], share: float, other: float) -> float:
    """The tables' method: a share of every card, less weights and a constant."""
    size = row["weights"] * 1e9 if "weights" in row else entry.size
    left = (row["visible"] * share - other) * GIB - size / row["cards"]
    cache = kv_bytes(entry, row.get("kv_cache", "auto"), tensor_parallel=row["cards"])
    return max(0.0, left / (cache * entry.network.layers))


@rows("capacity")
def test_capacity(row: dict[str, Any]) -> None:
    entry = model(row["model"])
    by_table = table_tokens(entry, row, 0.92, 1.5)
    assert by_table / 1000 == pytest.approx(row["tokens"], rel=0.02, abs=0.5)
    size = int(row["weights"] * 1e9) if "weights" in row else entry.size
    cards = visible(row["visible"], row["cards"])
    _, tokens = copy_of(entry, size, layout(row["cards"]), cards)
    assert tokens / 1000 == pytest.approx(row["tokens"], rel=row["within"])


@rows("concurrency")
def test_concurrency(row: dict[str, Any]) -> None:
    machine = {**row, "cards": 8, "visible": 23.5}
    tokens = table_tokens(model(row["model"]), machine, row["share"], row["other"])
    for length, requests in zip((4096, 8192), row["requests"], strict=True):
        assert tokens / length == pytest.approx(requests, rel=0.03)


@rows("reported")
def test_reported_by_vllm(row: dict[str, Any]) -> None:
    entry = model(row["model"])
    if "layers" in row:
        entry = reshaped(entry, layers=row["layers"])
        entry = reshaped(entry, parameters=parameter_count(entry.network))
    a_token = kv_bytes(entry) * entry.network.layers
    assert row["tokens"] * a_token == pytest.approx(row["cache"] * GIB, rel=0.001)
    card = Card(index=0, total=143_771 << 20)
    size = int(row["weights"] * GIB) - unpacked_mla_weights(entry, range(entry.network.layers), 1)
    settings = {"performance": "throughput", "sequences": row.get("sequences"), "compute": "9.0"}
    assert isinstance(VLLM.takes, FillsCards)
    # It did not count tokens of each request yet.
    settings["takes"] = replace(VLLM.takes, counts_tokens=False)
    (ledger,), tokens = copy_of(entry, size, layout(1, share=row["share"], **settings), [card])
    if row["eager"]:
        tokens += ledger.lines["CUDA graphs"] // a_token
    assert tokens == pytest.approx(row["tokens"], rel=row["ours"])
    split = parts(model(row["model"]), model(row["model"]).size)
    counted = split.embedding + split.head + sum(split.layers[: entry.network.layers])
    assert counted == pytest.approx(size, rel=0.03)


@rows("pinned")
def test_reported_by_the_pinned_vllm(row: dict[str, Any]) -> None:
    placement = on_an_h200(
        NETWORKS[row["network"]].model,
        performance=row["performance"],
        parallel=row["requests"],
    )
    assert placement.ledger.kv_tokens == pytest.approx(row["tokens"], rel=row["within"])


def on_an_h200(entry: Model, cards: int = 1, **settings: Any) -> Placement:
    service = Service(name="it", engine="vllm", model=entry, port=8000, context=8192, **settings)
    h200 = named("H200")
    there = [Card(index=index, total=h200.memory) for index in range(cards)]
    placement = place(service, entry, entry.size, h200, there, machine())
    assert not placement.refusals
    return placement


def test_experts_are_given_the_kernels_that_load() -> None:
    shorter = NETWORKS["deepseek-r1-20-layers-awq"].model
    placement = on_an_h200(shorter)
    (card,) = placement.ledger.cards
    assert placement.moe_backend == "marlin"
    assert any(reason.startswith("Marlin's kernels") for reason in placement.reasons)
    assert card.lines["weights"] < card.loading <= card.total
    # Unpacked, the gates and ups of 256 experts are 28 GiB, and are there twice.
    split = parts(shorter, shorter.size)
    hopper = layout(1, compute="9.0")
    assert converting(shorter, split, hopper) == 2 * 28 * GIB
    assert converting(shorter, split, layout(8, compute="9.0")) == 7 * GIB
    assert card.loading + 2 * 28 * GIB > card.total
    # Others unpack nothing, nor does vLLM on other cards.
    for other in (layout(1, compute="8.0"), replace(hopper, moe_backend="marlin")):
        assert converting(shorter, split, other) < 4 * GIB
    # Where there is room, vLLM's own choice stands.
    assert on_an_h200(model("deepseek-r1-awq"), cards=8).moe_backend is None
    assert on_an_h200(model("qwen3.6-35b-a3b-awq")).moe_backend is None


def test_mla_on_hopper_keeps_the_parts_that_a_cache_is_split_in() -> None:
    r1 = NETWORKS["deepseek-r1-20-layers-awq"].model
    card = Card(index=0, total=143_771 << 20)

    def graphs(**settings: Any) -> int:
        given = layout(settings.pop("tensor", 1), **{"sequences": 256, **settings})
        ledgers, _ = copy_of(r1, r1.size, given, [card] * given.tensor_parallel)
        return ledgers[0].lines["CUDA graphs"]

    base = graphs()
    # 32 parts x 128 heads x 512 numbers x 4 bytes, for graphs of 512 tokens and of 256 requests.
    assert graphs(compute="9.0") - base == 6 * GIB
    assert graphs(compute="9.0", sequences=32) - base == 768 << 20
    assert graphs(compute="9.0", tensor=8) - base == 768 << 20
    # Its cache in FP8 has other kernels, and so have other cards and engines.
    for settings in ({"kv_cache": "fp8", "compute": "9.0"}, {"compute": "8.0"}):
        assert graphs(**settings) == base
    assert graphs(takes=SGLANG.takes, compute="9.0") == base


def test_offload_by_the_how_tos_rule() -> None:
    wrong = []
    for row in TABLES["offload"]:
        for memory, layers, printed in zip(
            row["cards"], row["layers"], row["printed"], strict=True
        ):
            assert min(61, int(memory / row["gigabytes"] * 61 - 4)) == layers
            if layers != printed:
                wrong.append((row["gigabytes"], memory, layers, printed))
    assert wrong == [(212, 160, 42, 32), (131, 96, 40, 39)]


def test_a_pipelines_stages_are_vllms() -> None:
    network = replace(model("deepseek-r1-distill-llama-70b").network, layers=61)
    assert [len(stage) for stage in stages_of(network, 4)] == [15, 15, 16, 15]
    assert [len(stage) for stage in stages_of(network, 8)] == [7, 7, 8, 8, 8, 8, 8, 7]
    assert stages_of(network, 4)[-1] == range(46, 61)


@EVERY
@pytest.mark.parametrize(("tensor", "pipeline"), [(1, 1), (2, 1), (8, 1), (1, 4), (2, 2)])
def test_the_cards_of_a_copy_hold_all_weights(entry: Model, tensor: int, pipeline: int) -> None:
    split = parts(entry, entry.size)
    held = sum(
        card_weights(entry, split, stage, layout(tensor)) * tensor
        for stage in stages_of(entry.network, pipeline)
    )
    unread = sum(split.layers[entry.network.layers :])
    assert held >= split.total - unread - 3 * tensor * pipeline
    # What MLA repeats is little.
    assert held <= 1.04 * (split.total - unread)


@pytest.mark.parametrize(
    ("key", "tensor", "mebibytes", "kept"),
    [
        # 512 + 1.5 x 8192 + 1024 + 2 x 512 + 1536 MiB
        ("deepseek-r1", 8, 143_771, 16_384),
        # 512 + 1.5 x 4096 + 128 + 2 x 48 + 8 x 50 MiB
        ("deepseek-r1-distill-qwen-7b", 1, 24_564, 7280),
    ],
)
def test_what_sglang_leaves_of_a_card(key: str, tensor: int, mebibytes: int, kept: int) -> None:
    card = Card(index=0, total=mebibytes << 20)
    takes = SGLANG.takes
    assert isinstance(takes, FillsCards) and not isinstance(takes.share, FixedShare)
    cut = layout(tensor, takes=takes)
    share = beside(takes.share, model(key).network, cut, card)
    assert share == round((mebibytes - kept) / mebibytes, 3)
