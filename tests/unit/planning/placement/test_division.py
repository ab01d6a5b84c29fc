"""No size is planned that a pinned engine refuses; data/division.yaml has its own checks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploys.planning.engines import compatibility
from deploys.planning.engines.base import FillsCards
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import ACCELERATORS, Accelerator, named
from deploys.planning.hardware.software_stacks import STACKS, stack_of
from deploys.planning.inputs.profile import Service
from deploys.planning.models.catalogue import model
from deploys.planning.models.model import Model
from deploys.planning.placement.allocate import place
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.division import divides, divides_for
from deploys.planning.placement.memory import GIB, Card
from tests.unit import UNIT
from tests.unit.planning.machines import machine
from tests.unit.planning.plan_examples import distinct, reshaped

TABLES = yaml.safe_load((UNIT / "data" / "division.yaml").read_text())
HOST = machine(memory=4096 * GIB)
COUNTS = (1, 2, 4, 8)


def shares(entry: Model, tensor: int) -> Mapping[str, list[float]]:
    """What of one card the engines look at, by the names that the checks have for it."""
    mla = entry.network.kv_lora_rank is not None
    keys, values = (
        entry.network.nope_head_dim or entry.network.head_dim,
        entry.network.v_head_dim or entry.network.head_dim,
    )
    heads = entry.network.heads / tensor
    kept = 1 if mla else max(1.0, entry.network.kv_heads / tensor)
    dense = (
        entry.network.intermediate if not entry.network.experts or entry.network.dense_layers else 0
    )
    forward = [dense or 0, entry.network.shared_experts * entry.network.expert_intermediate]
    states = entry.network.linear_value_heads * entry.network.linear_head_dim
    latent = [heads * (keys + (entry.network.rope_head_dim or 0)), heads * (keys + values)]
    return {
        "heads": [heads],
        "kv heads": [kept if tensor <= entry.network.kv_heads else tensor / entry.network.kv_heads],
        "states": [
            entry.network.linear_key_heads / tensor,
            entry.network.linear_value_heads / tensor,
        ],
        "inputs": [*(width / tensor for width in forward), heads * values, states / tensor],
        "outputs": latent if mla else [],
        "merged outputs": [
            *(width / tensor for width in forward),
            *(() if mla else (heads * entry.network.head_dim, kept * entry.network.head_dim)),
            entry.network.linear_key_heads * entry.network.linear_head_dim / tensor,
        ],
        "vocabulary": [math.ceil((entry.network.vocabulary or 0) / 64) * 64 / tensor],
        "experts": [entry.network.expert_intermediate / tensor],
    }


def refusals(
    engine: str, entry: Model, tensor: int, gpu: Accelerator, experts_whole: bool = False
) -> Iterator[str]:
    """The checks that such a size does not pass."""
    if tensor == 1:
        return
    for check in TABLES["checks"]:
        about = check.get("quantization")
        if check["engine"] != engine or about not in (None, entry.quantization):
            continue
        if about and entry.scale_group == 1:
            continue
        if check["share"] == "experts" and experts_whole:
            continue
        for share in shares(entry, tensor)[check["share"]]:
            passed = share % check["multiple"] == 0
            if not passed and gpu.fp8 and "finer" in check and share == int(share):
                finer = math.gcd(check["multiple"], int(share), entry.network.hidden)
                passed = finer >= check["finer"]
            if not passed:
                yield f"{check['file']}:{check['line']} {check['share']} {share:g}"


def test_the_checks_are_of_the_pinned_engines() -> None:
    stack = next(stack for stack in STACKS if stack.name == "cuda13")
    pinned = {engine: stack.engines[engine] for engine in ("vllm", "sglang")}
    assert TABLES["versions"] == pinned
    assert {check["engine"] for check in TABLES["checks"]} == set(pinned)


def kinds() -> dict[str, Accelerator]:
    """One accelerator of those that are the same to a plan, or differ by a few GiB."""
    alike = {
        (round(gpu.memory / (12 * GIB)), gpu.compute, gpu.link in ("nvswitch", "xgmi", "hccs")): gpu
        for gpu in ACCELERATORS.values()
    }
    return {gpu.name: gpu for gpu in alike.values()}


@pytest.mark.parametrize("gpu", kinds().values(), ids=kinds())
def test_no_default_is_planned_that_the_engine_refuses(gpu: Accelerator) -> None:
    wrong = []
    for entry in distinct():
        for engine in ("vllm", "sglang"):
            for count in COUNTS:
                if entry.size > count * gpu.memory:
                    continue  # It is refused, which takes the longest.
                placement = planned(entry, gpu, engine, count)
                if placement is not None and not placement.refusals:
                    tensor = placement.tensor_parallel
                    whole = placement.expert_parallel
                    cards = tensor // placement.data_parallel if whole else tensor
                    found = refusals(engine, entry, cards, gpu, whole)
                    wrong += [f"{engine} {entry.key} {count}: {tensor}: {each}" for each in found]
    assert wrong == []


@pytest.mark.parametrize(
    ("vocabulary", "sizes"), [(151_936, [1, 2]), (152_064, [1, 2, 3, 4, 6, 8]), (None, [1, 2, 3])]
)
def test_a_padded_vocabulary_is_dealt_out_whole(vocabulary: int | None, sizes: list[int]) -> None:
    entry = reshaped(
        model("qwen2.5-72b-instruct"),
        **{"vocabulary": vocabulary, "heads": 48, "kv_heads": 48, "intermediate": 48 * 128},
    )
    assert [tensor for tensor in sizes if divides(entry, tensor)] == sizes
    if vocabulary == 151_936:
        assert not divides(entry, 3) and not divides(entry, 6)


def planned(entry: Model, gpu: Accelerator, engine: Any, count: int) -> Placement | None:
    """None where no plan is permitted."""
    # Further copies are cut as the first.
    service = Service(name="it", engine=engine, model=entry, port=8000, replicas=1)
    if compatibility.refusals(service, entry, gpu, stack_of(gpu), HOST):
        return None
    cards = [Card(index=index, total=gpu.memory) for index in range(count)]
    return place(service, entry, entry.size, gpu, cards, HOST)


@pytest.mark.parametrize("row", TABLES["named"], ids=lambda row: " ".join(map(str, row.values())))
@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_what_an_operator_names_is_taken_where_the_engine_takes_it(
    row: dict[str, Any], engine: Any
) -> None:
    entry, gpu, tensor = model(row["model"]), named(row["gpu"]), row["tensor"]
    takes = ENGINES[engine].takes
    assert isinstance(takes, FillsCards)
    assert divides_for(takes, entry, tensor, gpu) is row[engine]
    assert not row[engine] or not [*refusals(engine, entry, tensor, gpu)]
    service = Service(name="it", engine=engine, model=entry, port=8000, tensor_parallel=tensor)
    cards = [Card(index=index, total=gpu.memory) for index in range(8)]
    reasons = [each.reason for each in place(service, entry, entry.size, gpu, cards, HOST).refusals]
    assert any("cannot share" in reason for reason in reasons) is not row[engine]


@pytest.mark.parametrize(
    ("quantization", "group", "width", "sizes"),
    [
        ("AWQ", None, 10_944, [1]),
        ("AWQ", 64, 29_568, [1, 2]),
        ("GPTQ", None, 29_568, [1]),
        ("W4A16", None, 29_568, [1]),
        ("INT4", None, 29_568, [1, 2, 4]),
        ("GPTQ-DESC-ACT", 64, 29_568, [1, 2]),
        ("W4A16-AUTOROUND", 32, 29_568, [1, 2, 4]),
        ("W8A16", 128, 29_568, [1]),
        ("MXFP8", None, 29_568, [1, 2, 4]),
        ("FP8", None, 29_568, [1]),
        ("FP8-MXFP4", None, 29_568, [1]),
        ("FP8", 1, 29_568, [1, 2, 4, 8]),
        ("BF16", None, 29_568, [1, 2, 4, 8]),
    ],
)
def test_no_group_of_weights_is_cut(
    quantization: str, group: int | None, width: int, sizes: list[int]
) -> None:
    entry = reshaped(model("qwen2.5-72b-instruct"), intermediate=width)
    entry = replace(entry, quantization=quantization, scale_group=group)
    assert [tensor for tensor in COUNTS if divides(entry, tensor)] == sizes
