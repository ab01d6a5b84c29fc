"""Adapters of a service: which are planned, what they take, and which are refused before a byte."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.adapters import fits
from deploys.planning.adapters.slots import slots_of
from deploys.planning.checkpoint import read
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.published import Published
from deploys.planning.engines.registry import ENGINES
from deploys.planning.gateway.paths import LONGEST_NAME
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.options.record import accepted
from deploys.planning.plan import HostPlan
from deploys.remote.formats import lora
from deploys.rendering import page, render
from tests.unit import ROOT
from tests.unit.planning.adapters.adapter_examples import (
    GGUF,
    HEAD,
    LAYERS,
    PEFT,
    base,
    gguf,
    peft,
    pinned,
    served,
    shapes,
)
from tests.unit.planning.plan_examples import MACHINE

LOADING = [name for name, engine in ENGINES.items() if engine.adapters]


def reasons(made: HostPlan) -> str:
    return "\n".join(map(str, made.refusals))


@pytest.mark.parametrize("engine", LOADING)
def test_an_adapter_is_planned_with_its_model(engine: str) -> None:
    made = served(engine)
    assert not made.refusals, reasons(made)
    (service,) = made.services
    (adapter,) = service.adapters
    asked = {"vllm": "legal", "sglang": "it:legal"}.get(engine)
    assert (adapter.name, adapter.asked) == ("legal", asked)
    key = adapter.weights.model
    # One more set of files: fetched, shared and put into bundles as models are.
    assert [weights.model for weights in made.weights] == ["qwen3-8b", key]
    assert adapter.path.startswith(f"/data/models/{key}/")
    assert not adapter.weights.locked and key in made.unlocked
    assert all("trained on" not in warning for warning in made.warnings)
    shown = page.of("it", MACHINE, made)
    how = f"asked as {asked}" if asked else "every answer has it"
    assert re.search(rf"adapter legal: \S+ MiB, {how}\n", shown)
    assert made.deployed()["services"][0]["adapters"] == [
        {"name": "legal", "asked": asked, "path": adapter.path}
    ]
    assert made.deployed()["profile"]["services"][0]["adapters"] == {"legal": key}


@pytest.mark.parametrize("engine", LOADING)
def test_the_ledger_counts_it(engine: str) -> None:
    made, without = served(engine), served(engine, adapters=None)
    (service,), (plain,) = made.services, without.services
    card, before = service.placement.ledger.cards[0], plain.placement.ledger.cards[0]
    wanted = made.profile.services[0]
    slots = slots_of(wanted)
    assert slots and "adapters" not in before.lines
    if engine in ("vllm", "sglang"):
        assert slots.rank == 16 and slots.count == 1 + (engine == "sglang")
        # q, k, v, down; keys are kept with queries and take no more than they do.
        numbers = 8192 + 8192 + 5120 + 16384
        assert card.lines["adapters"] == numbers * LAYERS * 16 * 2 * slots.count
        assert service.placement.ledger.kv_tokens < plain.placement.ledger.kv_tokens
        assert service.placement.ledger.host["adapters"] == slots.size
    else:
        assert card.lines["adapters"] == slots.size // LAYERS * LAYERS


def test_without_cards_it_is_in_host_memory() -> None:
    for engine in ("vllm", "llama.cpp"):
        made = served(engine, gpu=None)
        assert not made.refusals, reasons(made)
        slots = slots_of(made.profile.services[0])
        assert slots
        room = slots.of_card(1, 1) + slots.size
        wanted = room if engine == "vllm" else slots.size // LAYERS * LAYERS
        assert made.services[0].placement.ledger.host["adapters"] == wanted


def test_room_is_made_for_the_largest_of_several_and_for_eight_at_once() -> None:
    found = [peft(name=f"modelscope:o/legal-{at}") for at in range(9)]
    found.append(peft(name="modelscope:o/large", r=100))
    made = served("vllm", found=tuple(found))
    assert not made.refusals, reasons(made)
    slots = slots_of(made.profile.services[0])
    assert slots and (slots.count, slots.rank) == (8, 128)
    assert slots.of_card(2, 1) < slots.of_card(1, 1)
    assert slots.of_card(1, 2) == slots.of_card(1, 1) // 2


def test_ranks_are_those_of_the_version_that_is_pinned() -> None:
    recorded = accepted("vllm", "0.32.0")["--max-lora-rank"].choices
    record = ENGINES["vllm"].adapters
    assert record and tuple(map(str, record.ranks)) == recorded


LARGE = peft(lora.of_peft(shapes(1024)), r=1024)
NARROW = peft(lora.of_peft(shapes(q_proj=(2048, 2048))))
DEEP = peft(lora.of_peft(shapes(layers=64)))
KEYS = peft(lora.of_peft(shapes(v_proj=(4096, 4096))))
PATTERN = peft(target_modules=r".*language_model.*\.(q_proj|v_proj)$")
ODD = replace(gguf(), files={"a,b.gguf": 9}, documents=Documents(gguf={"a,b.gguf": HEAD}))


@pytest.mark.parametrize(
    ("engine", "found", "reason", "hint"),
    [
        (
            "llama.cpp",
            peft(),
            "legal is in safetensors, and llama.cpp loads",
            "in GGUF, as convert",
        ),
        ("ollama", peft(), "is in safetensors, and Ollama loads adapters in gguf", "in GGUF"),
        ("vllm", gguf(), "is in gguf, and vLLM loads adapters in safetensors", "in safetensors"),
        ("sglang", gguf(), "is in gguf, and SGLang loads", "in safetensors"),
        ("vllm", LARGE, "has rank 1024, and vLLM takes 512 at most", "smaller rank"),
        ("vllm", NARROW, "has q_proj for 2048 numbers, and qwen3-8b has 4096", "or serve Qwen/"),
        ("vllm", KEYS, "has v_proj for 4096 numbers, and qwen3-8b has 1024", "of Qwen3-8B"),
        ("vllm", DEEP, "adapts layer 64, and qwen3-8b has 36", "Name an adapter of Qwen3-8B"),
        ("sglang", PATTERN, "by a pattern (target_modules), and SGLang reads a list", "vLLM"),
        ("llama.cpp", ODD, "a name with a blank, a comma or a quote", "plain name"),
        ("vllm", peft(use_dora=True), "has DoRA", "merge it into its model"),
    ],
)
def test_what_an_engine_does_not_load_is_refused(
    engine: str, found: Published, reason: str, hint: str
) -> None:
    made = served(engine, found=(found,))
    (refusal,) = made.refusals
    assert reason in refusal.reason and hint in refusal.hint
    assert refusal.service == "it"


def test_a_pattern_and_any_rank_that_there_is_are_planned() -> None:
    assert not served("vllm", found=(PATTERN,)).refusals
    assert not served("sglang", found=(LARGE,)).refusals


def test_two_adapters_need_a_name_in_a_request() -> None:
    two = (gguf(), gguf(name="modelscope:o/other-gguf"))
    for engine in ("llama.cpp", "ollama"):
        (refusal,) = served(engine, found=two).refusals
        assert "adapters names 2, and a request to" in refusal.reason
    assert not served("vllm", found=(peft(), peft(name="modelscope:o/other"))).refusals


def test_an_adapter_of_another_architecture_is_refused_where_the_header_was_read() -> None:
    wanted = Service(
        name="it", engine="llama.cpp", model=base("gguf"), port=8000, adapters={"legal": GGUF}
    )
    (service,) = read.named(HostProfile(services=(wanted,)), pinned(gguf()), ROOT)[0].services
    fits.check_architecture(service, "qwen3")
    fits.check_architecture(service, None)
    with pytest.raises(Refusal, match="is for the architecture qwen3, and the model has llama"):
        fits.check_architecture(service, "llama")


def test_another_name_of_the_base_is_told_and_a_variant_is_not() -> None:
    for title in ("Qwen3-8B-AWQ", "qwen3_8b-fp8"):
        made = served("vllm", model=base(key="x", title=title, modelscope=f"other/{title}"))
        assert not [each for each in made.warnings if "trained on" in each]
    made = served("vllm", found=(peft(base_model_name_or_path="mistralai/Other-7B"),))
    (told,) = [each for each in made.warnings if "trained on" in each]
    assert "adapter legal was trained on mistralai/Other-7B, and Qwen3-8B is served" in told
    assert not made.refusals


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"adapters": {"it": PEFT}}, "adapter it is called like service it"),
        ({"adapters": {"Legal": PEFT}}, "'Legal' cannot name one of its adapters"),
        ({"adapters": {"a=b": PEFT}}, "'a=b' cannot name"),
        ({"adapters": {"": PEFT}}, "'' cannot name"),
        ({"adapters": {"legal": "o/legal"}}, "adapter legal: 'o/legal' is not the name of"),
        ({"adapters": {"legal": "qwen3-8b"}}, "adapter legal: 'qwen3-8b' is not the name of"),
        ({"adapters": {"legal": 7}}, "adapter legal: '7' is not the name of"),
    ],
)
def test_names_are_refused_in_the_inventory(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal, match=re.escape(reason)):
        served("vllm", **fields)


def test_two_services_cannot_have_adapters_of_one_name() -> None:
    one = Service(name="a", engine="vllm", model=base(), port=8000, adapters={"legal": PEFT})
    other = replace(one, name="b", port=8001)
    with pytest.raises(Refusal, match="adapter legal is called like an adapter of service a"):
        HostProfile(services=(one, other))
    with pytest.raises(Refusal, match="adapter legal is called like service legal"):
        HostProfile(services=(one, replace(other, name="legal", adapters=None)))


def test_a_name_that_no_gateway_reads_whole_is_refused() -> None:
    made = served("sglang", name="s" * 32, adapters={"a" * 32: PEFT})
    assert f"longer than the {LONGEST_NAME} letters" in reasons(made)
    assert not served("sglang", name="s" * 31, adapters={"a" * 32: PEFT}).refusals
    template = (ROOT / "templates" / "gateway" / "haproxy.cfg.j2").read_text()
    assert f"bytes(0,{LONGEST_NAME})" in template


def test_an_unpinned_adapter_of_a_locked_profile_is_refused() -> None:
    made = served("vllm", found=(peft(),), adapters={"legal": "modelscope:o/unknown"})
    assert "modelscope:o/unknown is not pinned in" in reasons(made)
    # Nothing of the service is planned then, and nothing crashes.
    assert not made.services


@pytest.mark.parametrize(
    ("engine", "lines"),
    [
        (
            "vllm",
            [
                "enable-lora: true",
                '- "legal={path}"',
                "max-loras: 1",
                "max-cpu-loras: 1",
                "max-lora-rank: 16",
                'lora-target-modules: ["down_proj", "q_proj", "v_proj"]',
            ],
        ),
        (
            "sglang",
            [
                "enable-lora: true",
                '- "legal={path}"',
                "max-loras-per-batch: 2",
                "max-lora-rank: 16",
            ],
        ),
        ("llama.cpp", ["MODELRACK_OPTIONS=--lora '{path}/legal-f16.gguf'"]),
        ("ollama", []),
    ],
)
def test_it_is_rendered_and_proven(engine: str, lines: list[str]) -> None:
    made, plain = served(engine), served(engine, adapters=None)
    files, digest = render.service(made, made.services[0])
    folder = made.services[0].adapters[0].weights.directory
    text = "\n".join(file.content for file in files)
    for line in lines:
        assert f"{line.format(path=folder)}\n" in text
    if engine == "ollama":
        assert f"weights prove {folder}\n" in text
    else:
        assert f"\nMODELRACK_ADAPTERS={folder}\n" in text
        assert "weights prove ${MODELRACK_WEIGHTS} $MODELRACK_ADAPTERS\n" in text
    before = "\n".join(file.content for file in render.service(plain, plain.services[0])[0])
    assert "lora" not in before and folder not in before
    assert render.service(plain, plain.services[0])[1] != digest


@pytest.mark.parametrize(
    ("engine", "option"),
    [
        *(("vllm", name) for name in ("enable-lora", "lora-modules", "max-lora-rank", "max-loras")),
        ("vllm", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
        *(("sglang", name) for name in ("enable-lora", "lora-paths", "max-loras-per-batch")),
        *(("llama.cpp", name) for name in ("lora", "lora-scaled", "lora-init-without-apply")),
    ],
)
def test_the_plan_s_own_options_are_refused_with_the_field(engine: str, option: str) -> None:
    (refusal,) = served(engine, adapters=None, options={option: True}).refusals
    assert refusal.reason.endswith(f"options names {option}, which the plan sets")
    assert refusal.hint.startswith("Set adapters of the service instead")
