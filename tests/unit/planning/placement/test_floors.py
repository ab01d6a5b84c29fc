"""What a service must reach: below what real GPUs gave, and out of reach of a model on the CPU."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploys.planning.hardware import gpus
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.placement import floors
from deploys.planning.placement.choice import Placement
from tests.unit import ROOT, UNIT
from tests.unit.planning.plan_examples import plan, profile, service

TABLES = yaml.safe_load((UNIT / "data" / "floors.yaml").read_text())
RESULTS = ROOT / "tests" / "gpu" / "results"
SHAPES = {
    "qwen2.5-32b-q4_k_m": "deepseek-r1-distill-qwen-32b-q4_k_m",
    "llama-70b-q4_k_m": "deepseek-r1-distill-llama-70b-q4_k_m",
}
PLACED = replace(plan().services[0].placement, gpu_layers=None)


def _placed(engine: str, cards: int = 1, tensor_parallel: int = 1, **fields: Any) -> Placement:
    groups = (tuple(range(cards)),)
    return replace(PLACED, engine=engine, groups=groups, tensor_parallel=tensor_parallel, **fields)


def _floor(key: str, gpu: str, placement: Placement, layers: int | None = None) -> float:
    model = CATALOGUE[key]
    size = model.size
    if layers is not None:
        size = size * layers // model.network.layers
        network = model.network
        parameters = network.parameters * layers // network.layers
        model = replace(model, network=replace(network, layers=layers, parameters=parameters))
    found = floors.floor(model, size, placement, gpus.named(gpu))
    assert found is not None
    return found


def _recorded(file: str) -> list[tuple[str, int | None, float]]:
    runs = json.loads((RESULTS / file).read_text())["runs"]
    return [
        (
            run["case"]["model"],
            run["case"]["gpu_layers"],
            run["tokens_per_second"]["generation"],
        )
        for run in runs
        if run["case"]["model"] in SHAPES
    ]


@pytest.mark.parametrize(
    ("file", "gpu", "cards"),
    [("h200-llama.cpp.json", "H200", 1), ("2xh100-llama.cpp.json", "H100", 2)],
)
def test_what_real_gpus_gave_passes(file: str, gpu: str, cards: int) -> None:
    runs = [run for run in _recorded(file) if run[1] is None]
    assert runs
    for name, _, measured in runs:
        floor = _floor(SHAPES[name], gpu, _placed("llama.cpp", cards))
        # A floor far below would find nothing.
        assert floor < measured < 3 * floor, (name, floor, measured)


def test_what_was_measured_with_half_the_layers_on_the_cpu_fails() -> None:
    runs = [run for run in _recorded("h200-llama.cpp.json") if run[1] is not None]
    assert runs
    for name, _, measured in runs:
        assert measured < _floor(SHAPES[name], "H200", _placed("llama.cpp")) / 3


@pytest.mark.parametrize(
    ("key", "gpu", "placement", "layers", "good", "bad"),
    [
        # vLLM 0.24 on one H200, with CUDA graphs and in eager mode.
        ("deepseek-r1-distill-qwen-32b-awq", "H200", _placed("vllm"), None, 83.0, None),
        ("deepseek-r1-awq", "H200", _placed("vllm"), 20, 191.6, 17.6),
        # Eight of them together: as published for H100, and what a public how-to got of H800.
        ("deepseek-r1-awq", "H100", _placed("vllm", 8, 8), None, 62.0, 6.2),
        ("deepseek-r1-q4_k_m", "H800", _placed("ollama", 8), None, None, 4.59),
    ],
)
def test_other_engines(
    key: str,
    gpu: str,
    placement: Placement,
    layers: int | None,
    good: float | None,
    bad: float | None,
) -> None:
    floor = _floor(key, gpu, placement, layers)
    assert good is None or floor < good
    assert bad is None or bad < floor / 3


@pytest.mark.parametrize("row", TABLES["passed"], ids=lambda row: row["source"])
def test_what_was_published_of_healthy_machines_passes(row: dict[str, Any]) -> None:
    assert _floor(row["model"], row["gpu"], _placed(row["engine"], row["cards"])) < row["seen"]


@pytest.mark.parametrize("row", TABLES["warned"], ids=lambda row: row["source"])
def test_what_was_published_of_the_cpu_does_not(row: dict[str, Any]) -> None:
    assert row["seen"] < _floor(row["model"], row["gpu"], _placed(row["engine"], row["cards"]))


@pytest.mark.parametrize(
    "placement",
    [
        replace(PLACED, groups=()),
        _placed("llama.cpp", cpu_experts=3),
        _placed("llama.cpp", gpu_layers=10),
        _placed("ktransformers"),
    ],
    ids=["cpu", "experts", "layers", "ktransformers"],
)
def test_nothing_is_known_of_host_memory(placement: Placement) -> None:
    model = CATALOGUE["deepseek-r1-q4_k_m"]
    assert floors.floor(model, model.size, placement, gpus.named("H800")) is None


def test_all_layers_and_the_head_on_the_gpu_are_the_whole_model() -> None:
    model = CATALOGUE["deepseek-r1-q4_k_m"]
    whole = _placed("llama.cpp", gpu_layers=model.network.layers + 1)
    assert floors.floor(model, model.size, whole, gpus.named("H800")) == _floor(
        model.key, "H800", _placed("llama.cpp")
    )


def test_the_operators_own_floor_counts() -> None:
    assert plan().services[0].min_tokens_per_second is None
    assert (
        plan(profile(service(min_tokens_per_second=4.5))).services[0].min_tokens_per_second == 4.5
    )


def test_a_floor_of_nothing_is_refused() -> None:
    with pytest.raises(Refusal, match="min_tokens_per_second is 0"):
        service(min_tokens_per_second=0)
