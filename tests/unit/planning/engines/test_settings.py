"""Fields of a service by engines: each changes what is planned or rendered, or is refused."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from deploys.control import locks as lock_files
from deploys.planning.engines import base
from deploys.planning.engines.base import DealsLayers, ServiceSettings
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.plan import HostPlan
from deploys.rendering import render
from tests.plans.simulated import MACHINES
from tests.unit import ROOT
from tests.unit.planning.adapters.adapter_examples import gguf, peft, read
from tests.unit.planning.plan_examples import SHARDS, attempt, locks

# What every service has, and is proven by what it is.
IDENTITY = {"name", "engine", "model", "port"}
# Fields, and values of them that no plan has by itself.
VALUES: dict[str, tuple[Any, ...]] = {
    "task": ("embed", "rerank"),
    "context": (2048,),
    "parallel": (16,),
    "tensor_parallel": (2,),
    "pipeline_parallel": (2,),
    "replicas": (2,),
    "kv_cache": ("fp8", "q8_0"),
    "performance": ("latency", "throughput"),
    "gpu_memory_utilization": (0.5,),
    "gpu_layers": (3,),
    "cpu_experts": (5,),
    "min_tokens_per_second": (7.0,),
    "reasoning_parser": ("qwen3",),
    "tool_parser": ("mistral", "none"),
    "chat_template": (ROOT / "templates" / "chat" / "deepseek-v3.jinja",),
    "sampling": ({"temperature": 0.6}, {"top_k": 20}),
    "options": ({"seed": 7}, {"random-seed": 7}, {"OLLAMA_FLASH_ATTENTION": 1}),
    "adapters": ({"legal": read(peft())}, {"legal": read(gguf())}),
    "merge": (True, False),
    "allow_copy": (True,),
}
# What else is set, or the plan would answer one field with others: a smaller cache with more
# requests, say, which does not show that the engine was told of it.
BESIDE = {"context": 4096, "parallel": 8}
# Fields that are honoured by such answers: how many requests are admitted.
ANSWERED = {"performance": {"context": 4096}}
# By format: a model, smaller than it is by far, and the files that are pinned of it.
MODELS = {
    "gguf": ("qwen3-235b-a22b-instruct-2507-q4_k_m", SHARDS),
    "safetensors": ("qwen3-235b-a22b-instruct-2507-fp8", ("model.safetensors",)),
}
# Hardware, by what an engine takes of it.
PLACES = {"cards": ("h200", "H200", 8), "one card and the host": ("rtx6000ada", "RTX 6000 Ada", 4)}
PINS = lock_files.read(Site().locks)
# What its verbs read of the profile itself.
READ_BY_VERBS = {("ollama", "allow_copy")}


def planned(engine: str, *, cards: bool, **settings: Any) -> HostPlan:
    record = ENGINES[engine]
    key, files = MODELS[record.reads.formats[0]]
    model = replace(CATALOGUE[key], key="tiny", modelscope="o/tiny", huggingface=None)
    served = Service(name="it", engine=engine, model=model, port=8000, **settings)
    profile, machine = HostProfile(services=(served,)), "cpu"
    if cards:
        on_host = isinstance(record.takes, DealsLayers)
        machine, gpu, gpus = PLACES["one card and the host" if on_host else "cards"]
        profile = replace(profile, gpu=gpu, gpus=gpus)
    pins = replace(PINS, weights=locks(files).weights)
    return attempt(profile, machine=Machine.from_json(MACHINES[machine]), pins=pins)


def decided(plan: HostPlan) -> Any:
    """What reaches the machine, and what is demanded of it."""
    (service,) = plan.services
    files, _ = render.service(plan, service)
    return [asdict(file) for file in files], service.min_tokens_per_second, asdict(service.weights)


WHERE = [
    (engine, cards)
    for engine in ENGINES
    for cards in (True, False)
    if cards or not planned(engine, cards=False).refusals
]


def test_every_field_is_walked() -> None:
    optional = {field.name for field in fields(Service)} - IDENTITY
    settings = {field.name for field in fields(ServiceSettings)}
    one = f"only one of Service and ServiceSettings ({base.__name__}) has this field"
    assert optional == settings, f"{names(optional ^ settings)}: {one}"
    assert optional == set(VALUES), f"{names(optional ^ set(VALUES))}: VALUES here has none of it"


def test_every_engine_is_walked() -> None:
    assert {engine for engine, _ in WHERE} == set(ENGINES)
    without_cards = {engine for engine, cards in WHERE if not cards}
    assert without_cards == {*stack_of(None).engines}
    for engine, cards in WHERE:
        assert not planned(engine, cards=cards).refusals


def names(found: set[str]) -> str:
    return ", ".join(sorted(found))


@pytest.mark.parametrize("field", VALUES)
@pytest.mark.parametrize(("engine", "cards"), WHERE)
def test_a_field_changes_something_or_is_refused(engine: str, cards: bool, field: str) -> None:
    beside = ANSWERED.get(field, BESIDE)
    usual = decided(planned(engine, cards=cards, **beside))
    answers = []
    for value in VALUES[field]:
        made = planned(engine, cards=cards, **{**beside, field: value})
        about = [each for each in made.refusals if field in each.reason]
        assert made.refusals == tuple(about), "refused for something else"
        # One mechanism: nothing is said twice.
        assert len(about) <= 1
        assert all(field in each.hint for each in about)
        answers.append(bool(about) or decided(made) != usual or (engine, field) in READ_BY_VERBS)
    # Of numbers and of yes and no, one may be what the plan has anyway; of words, none may.
    words = isinstance(VALUES[field][0], str)
    assert all(answers) if words else any(answers), f"{engine} ignores {field} and says nothing"


def test_what_verbs_read_of_the_profile_is_read() -> None:
    for engine, field in READ_BY_VERBS:
        assert f".{field}" in (ROOT / "deploys" / "engines" / f"{engine}.py").read_text()


def test_a_refusal_says_why_and_what_to_do() -> None:
    made = planned("llama.cpp", cards=True, performance="latency")
    assert [str(each) for each in made.refusals] == [
        "Service it: llama.cpp has no performance: no setting of it depends on that. Leave"
        " performance out, and set parallel and context instead."
    ]
    made = planned("llama.cpp", cards=False, performance="latency")
    assert "llama.cpp has no performance='latency': without cards" in str(made.refusals[0])


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES.keys())
def test_a_setting_that_is_refused_has_a_reason(engine: Any) -> None:
    for settings in (engine.settings, engine.settings_without_cards):
        for field in fields(ServiceSettings):
            setting = getattr(settings, field.name)
            assert (setting.values is None) == (setting.why == "")
            assert not setting.why.endswith(".") and not setting.hint.endswith(".")
