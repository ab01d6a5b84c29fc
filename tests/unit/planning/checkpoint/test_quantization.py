"""What documents say of a quantization while planning is what the machine finds in the tensors."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from deploys.planning.checkpoint import read
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.quantization import BY_TENSORS, PLAIN, quantization
from deploys.planning.checkpoint.reference import reference
from deploys.planning.engines import compatibility
from deploys.planning.hardware.gpus import named as named_card
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.weights import claim
from deploys.remote.formats.declared import declared
from tests.plans.simulated import MACHINES
from tests.unit import ROOT
from tests.unit.checkpoints import CASES, documents
from tests.unit.planning.plan_examples import model

CONFIGS = sorted((ROOT / "tests/unit/planning/checkpoint/configs").glob("*.json"))


@pytest.mark.parametrize("case", CASES, ids=[case["title"] for case in CASES])
def test_it_is_read_before_anything_is_fetched(case: dict[str, Any]) -> None:
    found = quantization(Documents(json=documents(case)))
    assert found.name == case.get("said", case["name"])
    assert found.scale_group == case.get("group")
    entry = model(format="safetensors", quantization=case["claims"][0])
    if found.name == case["name"] and found.scale_group:
        # Without a word about groups a claim may mean what is usual of its kind.
        entry = replace(entry, scale_group=found.scale_group)
    claim.check(entry, Documents(json=documents(case)))
    for other in case["refused"]:
        if found.name in BY_TENSORS or {found.name, other} <= {*PLAIN}:
            continue  # The tensors tell.
        wrong = model(format="safetensors", quantization=other)
        with pytest.raises(Refusal, match=r"its entry says \S+, and \S+ says .* Set quantization="):
            claim.check(wrong, Documents(json=documents(case)))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"dtype": "bfloat16"}, "BF16"),
        ({"torch_dtype": "torch.float16"}, "F16"),
        ({"text_config": {"torch_dtype": "float32"}}, "F32"),
        ({}, None),
        ({"dtype": ["bfloat16"]}, None),
        ({"text_config": []}, None),
    ],
)
def test_without_a_quantization_it_is_the_type_of_the_weights(said: Any, name: str | None) -> None:
    found = Documents(json={"config.json": said})
    if name is not None:
        assert quantization(found).name == name
        return
    with pytest.raises(Refusal, match=r"nor the type of the weights.* Set quantization of"):
        quantization(found)


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", 15, "Q4_K_M"),
        ("qwen2.5-7b-instruct-q8_0-00001-of-00003.gguf", 7, "Q8_0"),
        ("UD-Q4_K_XL/X-UD-Q4_K_XL-00001-of-00002.gguf", 15, "UD-Q4_K_XL"),
        ("X-UD-IQ2_XXS.gguf", 19, "UD-IQ2_XXS"),
        ("model-fp16.gguf", 1, "F16"),
        ("model.gguf", 32, "BF16"),
        ("model.gguf", 30, "IQ4_XS"),
        ("gpt-oss-20b-mxfp4.gguf", 38, "MXFP4"),
        # A name that says another thing than the header is wrong about it.
        ("model-Q8_0.gguf", 15, "Q4_K_M"),
        ("model-IQ3_M.gguf", None, "IQ3_M"),
        ("model-IQ3_M.gguf", 1024, "IQ3_M"),
        ("BF16/model-BF16.gguf", "32", "BF16"),
    ],
)
def test_a_gguf_says_it_in_its_header_or_its_name(path: str, kind: Any, name: str) -> None:
    found = quantization(Documents(gguf={path: {"general.file_type": kind}}))
    assert (found.name, found.scale_group, found.where) == (name, None, path)


def test_of_shards_the_first_says_it() -> None:
    heads = {"b-00002-of-00002.gguf": {}, "b-00001-of-00002.gguf": {"general.file_type": 7}}
    assert quantization(Documents(gguf=heads)).name == "Q8_0"


@pytest.mark.parametrize("kind", [None, 1024, "x", 4, True])
def test_a_gguf_that_does_not_say_it_is_refused(kind: Any) -> None:
    with pytest.raises(Refusal, match="Set quantization of the model to what llama-quantize calls"):
        quantization(Documents(gguf={"model.gguf": {"general.file_type": kind}}))


@pytest.mark.parametrize(
    ("group", "refused"), [(None, True), (128, True), (64, False), (192, False), (32, True)]
)
def test_groups_that_would_be_cut_are_refused(group: int | None, refused: bool) -> None:
    """llm-compressor issue 57: an entry that says 128, and a checkpoint that has other groups."""
    config = {"quant_method": "awq", "bits": 4, "group_size": 192 if group == 128 else 64}
    config["group_size"] = 64 if group in (64, 192, 32) else 192
    entry = model(format="safetensors", quantization="AWQ", scale_group=group)
    found = Documents(json={"config.json": {"quantization_config": config}})
    if not refused:
        claim.check(entry, found)
        return
    with pytest.raises(Refusal, match=r"by config\.json. Set scale_group=(64|192) of the model"):
        claim.check(entry, found)


# What config.json of published models says, where it says anything.
PUBLISHED = {
    "MiniMaxAI--MiniMax-M2.7": ("FP8", 128),
    "Qwen--Qwen3-235B-A22B-Instruct-2507-FP8": ("FP8", 128),
    "Qwen--Qwen3-30B-A3B-GPTQ-Int4": ("GPTQ", 128),
    "Qwen--Qwen3-32B-AWQ": ("AWQ", 128),
    "RedHatAI--DeepSeek-V4-Flash-NVFP4-FP8": ("NVFP4-FP8", 128),
    "deepseek-ai--DeepSeek-R1-0528": ("FP8", 128),
    "deepseek-ai--DeepSeek-V3.2": ("FP8", 128),
    "deepseek-ai--DeepSeek-V4-Flash-0731": ("FP8-MXFP4", 128),
    "deepseek-ai--DeepSeek-V4-Pro": ("FP8-MXFP4", 128),
    "lukealonso--MiniMax-M2.7-NVFP4": ("NVFP4", 16),
    "mistralai--Devstral-2-123B-Instruct-2512": ("FP8", 1),
    "moonshotai--Kimi-K2.5": ("INT4", 32),
    "moonshotai--Kimi-K2.7-Code": ("INT4", 32),
    "moonshotai--Kimi-K3": ("MXFP4", None),
    "openai--gpt-oss-20b": ("MXFP4", None),
    "Qwen--Qwen3-32B": ("BF16", None),
    "google--gemma-4-31B-it": ("BF16", None),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_say_what_they_are(name: str) -> None:
    path = next(path for path in CONFIGS if path.stem == name)
    found = quantization(Documents(json={"config.json": json.loads(path.read_text())}))
    assert (found.name, found.scale_group) == PUBLISHED[name]


_VALUES = some.recursive(
    some.none() | some.integers(-3, 300) | some.text(max_size=4) | some.booleans(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=4), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(some.sampled_from(CASES), some.data())
def test_documents_that_were_changed_at_will_say_something_or_are_refused(
    case: dict[str, Any], data: some.DataObject
) -> None:
    said = json.loads(json.dumps(documents(case)))
    for _ in range(data.draw(some.integers(1, 3))):
        inner = said
        while isinstance(inner, dict) and inner:
            key = data.draw(some.sampled_from(sorted(inner)))
            if data.draw(some.booleans()) or not isinstance(inner[key], dict):
                inner[key] = data.draw(_VALUES)
                break
            inner = inner[key]
    try:
        found = quantization(Documents(json=said))
    except Refusal as refusal:
        assert refusal.hint
    else:
        assert found.name and (found.scale_group is None or found.scale_group >= 1)
        assert declared(said).name in ("", found.name) or found.name


# Another architecture than the one that the others are tried with.
NAMED = [case for case in CASES if "outer" not in case]


@pytest.mark.parametrize("case", NAMED, ids=[case["title"] for case in NAMED])
def test_a_model_named_by_its_hub_is_planned_as_what_it_is(case: dict[str, Any]) -> None:
    """What its class's engines do not read is refused by its documents alone."""
    path = next(path for path in CONFIGS if path.stem == "Qwen--Qwen3-32B")
    said = documents(case)
    said["config.json"] = {**json.loads(path.read_text()), **said["config.json"]}
    sizes = {"model.safetensors": 9 << 30, **{name: 9 for name in said}}
    named = read.model(reference("huggingface:a/b"), Documents(json=said), sizes, "c" * 40)
    assert (named.quantization, named.scale_group) == (
        case.get("said", case["name"]),
        case.get("group"),
    )
    gpu = named_card("H200")
    service = Service(name="tiny", engine="vllm", model=named, port=8000)
    here = Machine.from_json(MACHINES["h800"])
    found = compatibility.refusals(service, named, gpu, stack_of(gpu), here)
    if "said" in case:
        return  # What it is, its tensors alone say.
    reads = case["read"].get("vllm", "without cards") != "without cards"
    assert bool(found) != reads, [str(each) for each in found]
