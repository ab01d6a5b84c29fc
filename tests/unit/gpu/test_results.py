"""What llama.cpp took of real GPUs (tests/gpu/results), against its files and our ledger."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from deploys.planning.engines.llama_cpp import LLAMA_CPP
from deploys.planning.engines.software import FromSource
from deploys.planning.hardware.gpus import by_pci_id
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.placement import offload
from deploys.planning.placement.memory import MIB, Card, CardLedger
from deploys.planning.placement.offload import Split
from tests.gpu import building
from tests.gpu.entry import entry
from tests.gpu.shapes import SHAPES, Shape, Weight
from tests.unit import ROOT
from tests.unit.planning.plan_examples import MACHINE

RESULTS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((ROOT / "tests" / "gpu" / "results").glob("*-llama.cpp.json"))
}
RUNS = [(name, number) for name, result in RESULTS.items() for number in range(len(result["runs"]))]


def title(run: tuple[str, int]) -> str:
    case = RESULTS[run[0]]["runs"][run[1]]["case"]
    usual = {"gpu_layers": None, "cpu_experts": 0, "kv_cache": "f16", "ubatch": 512}
    special = [f"{key}={case[key]}" for key, value in usual.items() if case[key] != value]
    size = f"{case['context']}x{case['parallel']}"
    return " ".join([run[0].removesuffix("-llama.cpp"), case["model"], size, *special])


EVERY = pytest.mark.parametrize("run", RUNS, ids=title)
# The plan leaves the step at 512 tokens, so the ledger has no other.
PLANNED = pytest.mark.parametrize(
    "run",
    [run for run in RUNS if RESULTS[run[0]]["runs"][run[1]]["case"]["ubatch"] == 512],
    ids=title,
)


def read(run: tuple[str, int]) -> tuple[dict[str, Any], Shape, dict[str, Any]]:
    """The machine, the shape and the numbers of one run."""
    result = RESULTS[run[0]]
    numbers = result["runs"][run[1]]
    return result["machine"], SHAPES[numbers["case"]["model"]], numbers


def on_gpu(shape: Shape, case: dict[str, Any]) -> list[Weight]:
    """What llama.cpp puts on the cards: the last layers, and the output as one layer more."""
    layers = shape.layers + 1 if case["gpu_layers"] is None else case["gpu_layers"]
    first = shape.layers + 1 - layers
    chosen = []
    for weight in shape.weights():
        if not weight.name.startswith("blk."):
            head = "token_embd.weight" if shape.tied else "output.weight"
            if weight.name in (head, "output_norm.weight"):
                chosen.append(weight)
            continue
        layer = int(weight.name.split(".")[1])
        moved = "_exps." in weight.name and layer < case["cpu_experts"]
        if layer >= first and not moved:
            chosen.append(weight)
    return chosen


def on_cards(sizes: dict[str, float]) -> list[float]:
    """MiB on each card."""
    return [
        mib for place, mib in sorted(sizes.items()) if place.startswith("CUDA") and "_" not in place
    ]


def test_there_are_four_models_of_both_kinds_from_2_to_100_gb_on_one_h200() -> None:
    result = RESULTS["h200-llama.cpp"]
    assert result["machine"]["name"] == "NVIDIA H200"
    sizes = {run["case"]["model"]: run["file"] for run in result["runs"]}
    assert len(sizes) >= 4
    assert min(sizes.values()) < 2e9 and max(sizes.values()) > 90e9
    assert {SHAPES[name].kv_lora_rank is None for name in sizes} == {True, False}
    contexts = {
        name: {
            (run["case"]["context"], run["case"]["parallel"])
            for run in result["runs"]
            if run["case"]["model"] == name
        }
        for name in sizes
    }
    assert all(len(found) >= 2 for found in contexts.values())


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_says_on_what_it_was_measured(name: str) -> None:
    result = RESULTS[name]
    # nvidia-smi writes the device before the vendor.
    device, vendor = divmod(int(result["machine"]["pci.device_id"], 16), 1 << 16)
    gpu = by_pci_id(f"{vendor:04x}:{device:04x}")
    assert gpu is not None and gpu.name in result["machine"]["name"]
    assert result["engine"]["commit"] == building.COMMIT
    assert result["engine"]["options"] == list(building.OPTIONS)
    assert "CUDA : ARCHS" in result["engine"]["system"]
    for shape, described in result["models"].items():
        numbers = {key: value for key, value in described.items() if key != "tensor_bytes"}
        assert numbers == asdict(SHAPES[shape])
        assert sum(described["tensor_bytes"].values()) == sum(
            weight.size for weight in SHAPES[shape].weights()
        )


@EVERY
def test_the_model_buffers_are_the_tensors_of_the_file(run: tuple[str, int]) -> None:
    _, shape, numbers = read(run)
    expected = sum(weight.size for weight in on_gpu(shape, numbers["case"])) / MIB
    assert sum(on_cards(numbers["buffers_mib"]["model"])) == pytest.approx(expected, rel=1e-4)


@EVERY
def test_the_cache_is_exactly_its_formula(run: tuple[str, int]) -> None:
    _, shape, numbers = read(run)
    case, cache = numbers["case"], numbers["buffers_mib"]["kv"]
    # With MLA one latent vector and the rotary key, and no values beside them.
    token = (
        2 * shape.kv_heads * shape.head_dim
        if shape.kv_lora_rank is None
        else shape.kv_lora_rank + shape.rope_head_dim
    )
    width = {"f16": 2.0, "q8_0": 34 / 32}[case["kv_cache"]]
    cells = case["context"] * case["parallel"]
    assert numbers["cells"] == cells
    expected = shape.layers * cells * token * width / MIB
    # The log has two decimals, for each device.
    assert sum(cache.values()) == pytest.approx(expected, abs=0.005 * len(cache) + 0.001)


@EVERY
def test_the_engines_sum_and_the_drivers_agree(run: tuple[str, int]) -> None:
    _, _, numbers = read(run)
    sizes, driver = numbers["buffers_mib"], numbers["driver_mib"]
    for card, (idle, ready, used) in enumerate(
        zip(driver["idle"], driver["ready"], driver["used"], strict=True)
    ):
        name = f"CUDA{card}"
        own = sum(sizes[kind][name] for kind in ("model", "kv", "compute"))
        # The CUDA context and its libraries, then also what the first prompts made them take.
        assert 550 < ready - idle - own < 650
        assert 600 < used - idle - own < 800
        assert numbers["at_exit_mib"][name]["self"] == pytest.approx(own, abs=3)


@EVERY
def test_it_answered_as_long_as_it_was_measured(run: tuple[str, int]) -> None:
    _, _, numbers = read(run)
    case = numbers["case"]
    assert numbers["settings"]["flash_attn"] == "enabled"
    assert int(numbers["settings"]["n_ctx_seq"]) == case["context"]
    assert int(numbers["settings"]["n_seq_max"]) == case["parallel"]
    assert int(numbers["settings"]["n_ubatch"]) == case["ubatch"]
    assert min(numbers["tokens_per_second"].values()) > 0


@PLANNED
def test_weights_and_cache_are_predicted_within_2_percent(run: tuple[str, int]) -> None:
    _, _, numbers = read(run)
    sizes = numbers["buffers_mib"]
    for ledger, weights, cache in zip(
        predicted(run), on_cards(sizes["model"]), on_cards(sizes["kv"]), strict=True
    ):
        planned = ledger.lines["weights"] + ledger.lines["KV cache"]
        assert planned / MIB == pytest.approx(weights + cache, rel=0.02)


@PLANNED
def test_the_total_of_a_card_is_predicted_within_5_percent(run: tuple[str, int]) -> None:
    _, _, numbers = read(run)
    for ledger, used, idle in zip(
        predicted(run), numbers["driver_mib"]["used"], numbers["driver_mib"]["idle"], strict=True
    ):
        planned = ledger.planned - ledger.lines["driver"] - ledger.lines["margin"]
        assert planned / MIB == pytest.approx(used - idle, rel=0.05)


@PLANNED
def test_the_margin_covers_what_was_predicted_too_low(run: tuple[str, int]) -> None:
    machine, _, numbers = read(run)
    for ledger, used in zip(predicted(run), numbers["driver_mib"]["used"], strict=True):
        assert used * MIB < ledger.planned - ledger.lines["driver"]
        assert ledger.lines["driver"] >= int(machine["memory.reserved"]) * MIB


def test_the_bench_builds_what_machines_get() -> None:
    source = ArtifactLock(version="1", origin="github", path="p")
    software = LLAMA_CPP.software
    assert isinstance(software, FromSource)
    built = software.build(replace(MACHINE, isa="x86-64-v3"), source, None, None)
    assert set(built.options) <= set(building.OPTIONS)


def predicted(run: tuple[str, int]) -> tuple[CardLedger, ...]:
    """The ledger of every card for the case of one run."""
    machine, shape, numbers = read(run)
    case = numbers["case"]
    split = Split(
        context=case["context"],
        parallel=case["parallel"],
        kv_cache="auto" if case["kv_cache"] == "f16" else case["kv_cache"],
        gpu_layers=shape.layers + 1 if case["gpu_layers"] is None else case["gpu_layers"],
        cpu_experts=case["cpu_experts"],
    )
    total = int(machine["memory.total"]) * MIB
    cards = [Card(index=index, total=total) for index in range(machine["cards"])]
    return offload.server(entry(shape, numbers["file"]), numbers["file"], split, cards)[0]
