"""What is chosen for a service, and that no choice promises more than there is."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.planning.engines import compatibility
from deploys.planning.hardware.gpus import ACCELERATORS, Accelerator, named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.machine import Gpu, GpuLink, Holder
from deploys.planning.inputs.profile import Service
from deploys.planning.models.catalogue import CATALOGUE, model
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.placement import sharded
from deploys.planning.placement.allocate import place, place_all
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.interconnect import cards_of, islands
from deploys.planning.placement.memory import GIB, Card
from tests.unit import UNIT
from tests.unit.planning.machines import machine
from tests.unit.planning.plan_examples import distinct

TABLES = yaml.safe_load((UNIT / "data" / "placement.yaml").read_text())
ENGINES = {"gguf": ["llama.cpp", "ollama"], "safetensors": ["vllm", "sglang"]}


def rows(table: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "row", TABLES[table], ids=lambda row: " ".join(map(str, row.values()))
    )


def placed(row: dict[str, Any], entry: Model | None = None) -> Placement:
    gpu = named(row["gpu"]) if row.get("gpu") else None
    used = row.get("used", 0) * GIB
    cards = [
        Card(index=index, total=gpu.memory, used=used, numa=index * 2 // row["cards"])
        for index in range(row["cards"])
        if gpu
    ]
    links = tuple(GpuLink(first=a, second=b, kind="NV4") for a, b in row.get("links", ()))
    service = Service(
        name="it",
        engine=row.get("engine", "vllm"),
        model=row["model"],
        port=8000,
        **row.get("service", {}),
    )
    host = machine(links=links, memory=row.get("memory", 512) * GIB)
    entry = entry or model(row["model"])
    return place(service, entry, entry.size, gpu, cards, host)


@rows("filling")
def test_what_a_service_that_names_nothing_is_given(row: dict[str, Any]) -> None:
    placement = placed(row)
    assert not placement.refusals
    chosen = [placement.tensor_parallel, placement.pipeline_parallel, placement.replicas]
    assert chosen == row["cut"]
    assert placement.reasons


def test_what_has_no_experts_names_no_kernels_of_experts() -> None:
    entry = "deepseek-r1-distill-qwen-32b-fp8"
    placement = placed({"gpu": "RTX 5080", "cards": 2, "model": entry})
    assert placement.refusals and placement.moe_backend is None


@rows("refused")
def test_what_cannot_be_had_is_refused_with_a_hint(row: dict[str, Any]) -> None:
    placement = placed(row)
    refusal, *others = placement.refusals
    assert all(row["also"] in other.reason for other in others)
    assert row["reason"] in refusal.reason
    assert row["hint"] in refusal.hint
    assert placement.groups == ()


def test_pairs_with_a_bridge_share_layers() -> None:
    row = {"gpu": "RTX 3090", "cards": 4, "links": [[0, 2], [1, 3]]}
    placement = placed({**row, "model": "deepseek-r1-distill-qwen-32b-awq"})
    assert placement.groups == ((0, 2), (1, 3))


def test_without_links_neighbours_of_one_numa_node_share_layers() -> None:
    gpu = named("RTX 4090")
    cards = [Card(index=index, total=gpu.memory, numa=index % 2) for index in range(4)]
    entry = model("deepseek-r1-distill-qwen-32b-awq")
    service = Service(name="it", engine="vllm", model=entry, port=8000)
    placement = place(service, entry, entry.size, gpu, cards, machine())
    assert placement.groups == ((0, 2), (1, 3))


def test_the_table_knows_switches_where_no_driver_tells_links() -> None:
    cards = [Card(index=index, total=1) for index in range(4)]
    assert islands(cards, (), named("H800")) == ((0, 1, 2, 3),)
    assert islands(cards, (), named("RTX 3090")) == ((0,), (1,), (2,), (3,))
    links = [GpuLink(first=0, second=1, kind="NV18"), GpuLink(first=2, second=3, kind="SYS")]
    assert islands(cards, links, named("H800")) == ((0, 1), (2,), (3,))


def test_experts_go_to_the_host_first() -> None:
    row = {"gpu": "RTX 4090", "cards": 1, "model": "deepseek-r1-q4_k_m", "engine": "llama.cpp"}
    modern = replace(model("deepseek-r1-q4_k_m"), legacy_cache=False)
    placement = placed(row, modern)
    assert not placement.refusals
    assert placement.gpu_layers == modern.network.layers + 1
    assert placement.cpu_experts == modern.network.layers - 1
    # Public runs of this model with attention alone on the card report about 9.5 GB there, router
    # and shared experts included or not.
    alone = placed({**row, "service": {"cpu_experts": modern.network.layers}}, modern)
    assert alone.ledger.cards[0].lines["weights"] / 1e9 == pytest.approx(9.5, rel=0.1)


def test_a_dense_model_gives_layers_to_the_host() -> None:
    row = {"gpu": "RTX 4090", "cards": 1, "engine": "llama.cpp"}
    placement = placed({**row, "model": "deepseek-r1-distill-llama-70b-q4_k_m"})
    assert placement.gpu_layers is not None and 20 < placement.gpu_layers < 60
    assert any("run on the CPU" in warning for warning in placement.warnings)


def test_the_8_h800_of_the_how_to_hold_all_layers_of_the_model_that_it_gave_16() -> None:
    row = {"gpu": "H800", "cards": 8, "model": "deepseek-r1-q4_k_m", "engine": "ollama"}
    placement = placed({**row, "service": {"context": 8192, "parallel": 1}})
    assert placement.gpu_layers == 62 and placement.cpu_experts == 0
    cache = sum(card.lines["KV cache"] for card in placement.ledger.cards)
    assert cache / GIB == pytest.approx(38.1, abs=0.05)


def test_two_services_share_a_machine() -> None:
    gpu = named("RTX 4090")
    cards = [Card(index=index, total=gpu.memory) for index in range(8)]
    keys = ("deepseek-r1-distill-qwen-7b", "deepseek-r1-distill-qwen-32b-awq")
    wanted = [
        (Service(name=key, engine="vllm", model=key, port=8000 + at), model(key), model(key).size)
        for at, key in enumerate(keys)
    ]
    small, large = place_all(wanted, gpu, cards, machine())
    assert not small.refusals and not large.refusals
    assert not set(small.cards) & set(large.cards)
    assert (large.tensor_parallel, large.replicas) == (2, 2)
    assert (small.tensor_parallel, small.replicas) == (1, 4)


def test_machines_of_one_kind_are_thought_about_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu, key = named("H800"), "deepseek-r1-awq"
    wanted = [
        (Service(name="r1", engine="vllm", model=key, port=8000), model(key), model(key).size)
    ]

    def place(memory: int) -> Placement:
        cards = [Card(index=index, total=memory) for index in range(8)]
        return place_all(wanted, gpu, cards, machine())[0]

    first = place(gpu.memory)
    # The same again would ask this.
    monkeypatch.setattr(sharded, "copy_of", None)
    assert place(gpu.memory) == first
    monkeypatch.undo()
    other = place(gpu.memory - GIB)
    assert other.ledger.cards[0].total == first.ledger.cards[0].total - GIB


def test_a_service_makes_do_with_less_where_another_would_have_nothing() -> None:
    gpu = named("RTX 4090")
    cards = [Card(index=index, total=gpu.memory) for index in range(2)]
    keys = ("deepseek-r1-distill-qwen-7b", "deepseek-r1-distill-qwen-32b-awq")
    wanted = [
        (Service(name=key, engine="vllm", model=key, port=8000 + at), model(key), model(key).size)
        for at, key in enumerate(keys)
    ]
    small, large = place_all(wanted, gpu, cards, machine())
    assert not small.refusals and not large.refusals
    assert small.cards == (1,) and large.cards == (0,)


RTX_4090 = named("RTX 4090")


def test_what_our_own_services_hold_counts_as_free() -> None:
    held = machine(
        gpus=(
            Gpu(address="0000:01:00.0", pci_id="10de:2684", index=1, memory=24 * GIB, used=GIB),
            Gpu(address="0000:02:00.0", pci_id="10de:2684", index=0, memory=24 * GIB, used=GIB),
        ),
        holders=(Holder(pid=1, name="vllm", unit="vllm@it.service"),),
    )
    assert {card.used for card in cards_of(held, RTX_4090, 2, ours=["vllm@it.service"])} == {0}
    assert {card.used for card in cards_of(held, RTX_4090, 2)} == {GIB}
    assert {card.used for card in cards_of(replace(held, holders=()), RTX_4090, 2)} == {GIB}
    bare = machine(gpus=(Gpu(address="0000:01:00.0", pci_id="10de:2684"),))
    assert [card.total for card in cards_of(bare, RTX_4090, 1)] == [24564 << 20]
    # A profile without GPUs leaves those that are there alone.
    assert cards_of(bare, None, 0) == () == cards_of(held, None, 0)


def test_a_placement_is_plain_data() -> None:
    row = {"gpu": "H800", "cards": 8, "model": "deepseek-r1"}
    data = json.loads(json.dumps(placed(row).to_json()))
    assert data["refusals"][0]["hint"]
    assert data["ledger"]["cards"][0]["free"] < 0


@pytest.mark.parametrize("gpu", ACCELERATORS.values(), ids=ACCELERATORS)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_variant_that_a_refusal_names_does_fit(gpu: Accelerator, count: int) -> None:
    @cache
    def on_it(key: str, engine: str) -> Placement:
        """Several variants name the same one."""
        return placed(
            {"gpu": gpu.name, "cards": count, "model": key, "memory": 256, "engine": engine}
        )

    for entry in distinct():
        engine = ENGINES[entry.format][0]
        for refusal in on_it(entry.key, engine).refusals:
            key = refusal.hint.removeprefix("Choose ").split(",")[0]
            if key in CATALOGUE:
                assert not on_it(key, engine).refusals
                # Nor does a rule refuse it, as Volta's that AWQ begins with 7.5.
                service = Service(name="it", engine=engine, model=key, port=8000)
                stack = stack_of(gpu, {engine})
                assert not compatibility.refusals(service, model(key), gpu, stack, machine())


def test_ten_times_the_machines_take_little_more_than_ten_times_as_long() -> None:
    def seconds(times: int) -> float:
        began = time.process_time()
        for _ in range(times):
            for row in TABLES["filling"]:
                placed(row)
        return time.process_time() - began

    seconds(1)  # What is read once is read.
    assert seconds(10) < 20 * seconds(1)


@st.composite
def services(draw: st.DrawFn, at: int) -> tuple[Service, Model, int]:
    entry = draw(st.sampled_from(list(CATALOGUE.values())))
    engine = draw(st.sampled_from(ENGINES[entry.format]))
    chosen: dict[str, Any] = {
        "context": st.sampled_from([512, 8192, 100_000, 200_000]),
        "parallel": st.integers(1, 300),
        "tensor_parallel": st.integers(1, 9),
        "pipeline_parallel": st.integers(1, 9),
        "replicas": st.integers(1, 9),
        "gpu_memory_utilization": st.floats(0.05, 1),
        "gpu_layers": st.integers(0, 99),
        "cpu_experts": st.integers(0, 99),
        "kv_cache": st.sampled_from(["auto", "fp8", "q8_0"]),
    }
    names = draw(st.sets(st.sampled_from(sorted(chosen)), max_size=2))
    explicit = {name: draw(chosen[name]) for name in sorted(names)}
    service = Service(name=f"s{at}", engine=engine, model=entry, port=8000 + at, **explicit)
    return service, entry, entry.size


@st.composite
def racks(draw: st.DrawFn) -> tuple[Any, ...]:
    gpu = draw(st.sampled_from([None, *ACCELERATORS.values()]))
    count = draw(st.integers(0, 9)) if gpu else 0
    cards = [
        Card(
            index=index,
            total=gpu.memory,
            used=draw(st.sampled_from([0, 0, 4 << 20, 3 * GIB, 20 * GIB])),
            numa=draw(st.sampled_from([None, 0, 1])),
        )
        for index in range(count)
        if gpu
    ]
    numbers = st.integers(0, 8)
    pairs = draw(st.lists(st.tuples(numbers, numbers), max_size=6))
    kinds = st.sampled_from(["NV4", "SYS", "PIX"])
    links = tuple(GpuLink(first=a, second=b, kind=draw(kinds)) for a, b in pairs)
    host = machine(links=links, memory=draw(st.sampled_from([8, 64, 512, 2048])) * GIB)
    wanted = [draw(services(at)) for at in range(draw(st.integers(1, 4)))]
    return wanted, gpu, cards, host


@settings(max_examples=200, deadline=None)
@given(racks())
def test_no_plan_promises_more_than_there_is(rack: tuple[Any, ...]) -> None:
    wanted, gpu, cards, host = rack
    placements = place_all(wanted, gpu, cards, host)
    good = [placement for placement in placements if not placement.refusals]

    promised = Counter(index for placement in good for index in placement.cards)
    assert all(times == 1 for times in promised.values())
    assert set(promised) <= {card.index for card in cards}
    by_index = {card.index: card for card in cards}
    for placement in good:
        assert sorted(c.index for c in placement.ledger.cards) == sorted(placement.cards)
        for ledger in placement.ledger.cards:
            assert ledger.lines.get("other processes", 0) == by_index[ledger.index].used
            assert ledger.free >= 0
            assert all(size > 0 for size in ledger.lines.values())
    # Servers of one model map the same file, so its weights are in memory once.
    mapped: dict[str, int] = {}
    taken = 0
    for placement in good:
        own = dict(placement.ledger.host)
        mapped[placement.model] = max(mapped.get(placement.model, 0), own.pop("weights", 0))
        taken += sum(own.values())
    assert taken + sum(mapped.values()) <= host.memory
    # The weights are somewhere: on the cards of every copy, or on the host.
    for placement, (_, entry, size) in zip(placements, wanted, strict=True):
        if not placement.refusals:
            held = sum(card.lines.get("weights", 0) for card in placement.ledger.cards)
            held += placement.ledger.host.get("weights", 0)
            unread = size * entry.network.mtp_layers // entry.network.layers
            split = parts(entry, size)
            whole = (size - unread) * placement.replicas
            if placement.expert_parallel:
                # Copies have the experts once among them.
                whole -= sum(split.experts) * (placement.replicas - 1)
            assert held >= whole * 0.98
            for card in placement.ledger.cards:
                assert card.loading <= card.total


@settings(max_examples=200, deadline=None)
@given(racks())
def test_what_is_explicit_is_kept_or_refused(rack: tuple[Any, ...]) -> None:
    wanted, gpu, cards, host = rack
    for placement, (service, entry, _) in zip(
        place_all(wanted, gpu, cards, host), wanted, strict=True
    ):
        for refusal in placement.refusals:
            assert refusal.reason.startswith("Service ") and refusal.hint
            assert not refusal.reason.endswith(".") and not refusal.hint.endswith(".")
        if placement.refusals:
            assert placement.groups == ()
            continue
        for name in ("context", "parallel", "tensor_parallel", "pipeline_parallel", "replicas"):
            named_value = getattr(service, name)
            assert named_value is None or getattr(placement, name) == named_value
        for name in ("gpu_memory_utilization", "gpu_layers", "cpu_experts"):
            named_value = getattr(service, name)
            assert named_value is None or getattr(placement, name) == named_value
        assert placement.kv_cache == service.kv_cache
        assert placement.context <= entry.network.context
        assert entry.network.heads % placement.tensor_parallel == 0
        used = (
            placement.tensor_parallel * placement.pipeline_parallel * placement.replicas
            if placement.groups
            else 0
        )
        assert used == len(placement.cards) <= len(cards)
        # An encoder keeps nothing of what it has read.
        kept = placement.context * placement.replicas if entry.network.causal else 0
        assert placement.ledger.kv_tokens >= kept
