"""Whatever a repository says: it is planned with its own numbers, or refused, and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from deploys.control import locks
from deploys.planning.checkpoint import parsed
from deploys.planning.checkpoint.published import Published
from deploys.planning.checkpoint.reference import reference
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.models.model import Model
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from tests.lab.tiny_model import TinyModel
from tests.plans.simulated import MACHINES

CONFIGS = {
    path.stem: json.loads(path.read_text())
    for path in sorted(Path(__file__).with_name("configs").glob("*.json"))
}
QWEN = CONFIGS["Qwen--Qwen3-32B"]
H800 = Machine.from_json(MACHINES["h800"])
INDEX = "model.safetensors.index.json"
FILES = {"config.json": 900, "tokenizer.json": 9000, INDEX: 900, "model.safetensors": 16 << 30}
MAP = {"weight_map": {"lm_head.weight": "model.safetensors"}}
SAFETENSORS, GGUF = "modelscope:o/n", "modelscope:o/n-gguf"

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([-1, 0, 1, 7, 2**31, 2**63, 10**30, 0.5, -1e300])
    | st.integers()
    | st.floats()
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=6,
)
CHEAP = settings(
    max_examples=25,
    deadline=None,
    # A plan takes a tenth of a second, so a failure is shown as it was found.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)


def _plan(name: str, published: Published) -> HostPlan:
    engine = "llama.cpp" if name == GGUF else "vllm"
    profile = HostProfile(
        gpu="H800", gpus=8, services=(Service(name="it", engine=engine, model=name, port=8000),)
    )
    pins = replace(locks.read(Site().locks), published={reference(name).key: published})
    return resolve(profile, Site(), H800, pins)


def _published(name: str, files: dict[str, int], documents: Any) -> Published:
    return Published(reference=name, revision="0" * 40, files=files, documents=documents)


def _of(texts: dict[str, Any], files: dict[str, int] | None = None) -> HostPlan | Refusal:
    """The plan of a folder with these documents, or why they are none."""
    try:
        documents = parsed.documents({path: json.dumps(it) for path, it in texts.items()}, {})
    except Refusal as refusal:
        return refusal
    return _plan(SAFETENSORS, _published(SAFETENSORS, files or FILES, documents))


def _of_header(values: dict[str, Any]) -> HostPlan:
    documents = parsed.documents({}, {"x-Q4_K_M.gguf": values})
    return _plan(GGUF, _published(GGUF, {"x-Q4_K_M.gguf": 4 << 30}, documents))


def _sound(plan: HostPlan | Refusal) -> bool:
    """Check what holds of any plan; return whether it can be carried out."""
    if isinstance(plan, Refusal):
        assert plan.reason and plan.hint
        return False
    assert all(each.reason and each.hint for each in plan.refusals)
    json.dumps(plan.to_json(), allow_nan=False).encode()
    of_it = [each for each in plan.refusals if each.service]
    model = plan.profile.services[0].model
    assert of_it or isinstance(model, Model)
    return not of_it


def _is_planned(plan: HostPlan | Refusal) -> TypeGuard[HostPlan]:
    return isinstance(plan, HostPlan) and isinstance(plan.profile.services[0].model, Model)


def _figures(plan: HostPlan) -> set[int]:
    """The numbers of the network that are not counted out of others."""
    model = plan.profile.services[0].model
    assert isinstance(model, Model)
    network = model.network
    return {network.layers, network.hidden, network.heads, network.vocabulary or 0, network.context}


@cache
def _usual(name: str) -> set[int]:
    """The figures that a published configuration is planned with, and those in it."""
    plan = _of({"config.json": CONFIGS[name], INDEX: MAP})
    return {*_numbers(CONFIGS[name]), *(_figures(plan) if _is_planned(plan) else ())}


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    inside = value.values() if isinstance(value, dict) else value
    for each in inside if isinstance(value, dict | list) else ():
        yield from _numbers(each)


def _places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a document."""
    inside = value.items() if isinstance(value, dict) else ()
    for key, each in inside:
        yield (*here, key)
        yield from _places(each, (*here, key))


def _mutated(value: Any, seed: int, other: Any, *, missing: bool) -> Any:
    """A copy that differs in one place."""
    copy = json.loads(json.dumps(value))
    *way, last = random.Random(seed).choice(list(_places(copy)))
    at = copy
    for key in way:
        at = at[key]
    if missing:
        del at[last]
    else:
        at[last] = other
    return copy


def test_what_is_published_is_planned_or_refused() -> None:
    plans = {name: _of({"config.json": config, INDEX: MAP}) for name, config in CONFIGS.items()}
    assert sum(map(_sound, plans.values())) > len(plans) / 2


@CHEAP
@given(st.sampled_from(sorted(CONFIGS)), st.integers(0, 10**6), JSON, st.booleans())
def test_a_config_that_was_mutated(name: str, seed: int, other: Any, missing: bool) -> None:
    config = _mutated(CONFIGS[name], seed, other, missing=missing)
    plan = _of({"config.json": config, INDEX: MAP})
    if _sound(plan) and isinstance(plan, HostPlan):
        # What it is planned with is in there, or is what its class fills in where files are silent.
        assert _figures(plan) <= {*_numbers(config), *_usual(name)}


@CHEAP
@given(JSON, JSON, st.dictionaries(st.text(max_size=30), st.integers(), max_size=3))
def test_documents_and_listings_that_are_made_up(
    config: Any, index: Any, listed: dict[str, int]
) -> None:
    for texts in (
        {"config.json": config},
        {"config.json": QWEN, INDEX: index},
    ):
        _sound(_of({**texts, "modules.json": config, "tokenizer_config.json": index}))
    _sound(_of({"config.json": QWEN, INDEX: MAP}, {**FILES, **listed}))
    assert not _sound(_of({"config.json": config}, listed))


@CHEAP
@given(st.sampled_from(sorted(FILES)), st.integers())
def test_a_listing_with_other_sizes(path: str, size: int) -> None:
    plan = _of({"config.json": QWEN, INDEX: MAP}, {**FILES, path: size})
    if _sound(plan) and isinstance(plan, HostPlan):
        assert plan.weights[0].size == sum({**FILES, path: size}.values()) > 0


TINY = TinyModel(width=512, layers=6)
HEADER = {
    **{key.name: {"length": len(key.value)} if key.of else key.value for key in TINY.keys("F16")},
    "tensors.parameters": sum(prod(tensor.shape) for tensor in TINY.tensors("F16")),
    "tensors.output": 1,
    "tensors.attn_k_b": 0,
}


def test_a_header_as_it_is_written_is_planned() -> None:
    plan = _of_header(HEADER)
    assert _sound(plan), plan.refusals
    assert _figures(plan) == {6, 512, 4, len(TINY.tokens), 4096}


@CHEAP
@given(st.sampled_from(sorted(HEADER)), JSON, st.booleans())
def test_a_header_that_was_mutated(key: str, other: Any, missing: bool) -> None:
    header = {**HEADER, key: other}
    if missing:
        del header[key]
    plan = _of_header(header)
    if _sound(plan):
        assert _figures(plan) <= {*_numbers(header)}


@pytest.mark.parametrize(
    "key",
    [
        *("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"),
        "max_position_embeddings",
    ],
)
def test_a_figure_that_is_missing_is_named(key: str) -> None:
    config = {name: it for name, it in QWEN.items() if name != key}
    plan = _of({"config.json": config, INDEX: MAP})
    assert isinstance(plan, HostPlan) and not _sound(plan)
    assert "Network(" in str(plan.refusals[0])
    for wrong in (0, -3, "8", 1.5, True, [], None, 10**12):
        refused = _of({"config.json": {**config, key: wrong}, INDEX: MAP})
        assert isinstance(refused, HostPlan) and not _sound(refused), wrong
