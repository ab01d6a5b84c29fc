"""Software stacks and rules: every combination has one answer, and every refusal a way out."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest

from deploys.planning.driver.wanted import check_driver
from deploys.planning.engines import compatibility
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.rules import EVERY
from deploys.planning.hardware.gpus import ACCELERATORS, Generation, named
from deploys.planning.hardware.software_stacks import STACKS, SoftwareStack, parsed, stack_of
from deploys.planning.inputs.machine import Gpu, Machine
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.model import Model
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import model, reshaped

UBUNTU = Machine.from_json(MACHINES["rtx4090"])
SYSTEMS = {
    "ubuntu 22.04": 2.35,
    "ubuntu 24.04": 2.39,
    "debian 12": 2.36,
    "debian 13": 2.41,
    "rhel 8.10": 2.28,
    "rocky 8.10": 2.28,
    "rhel 9.6": 2.34,
    "rocky 9.6": 2.34,
}


def on(system: str, **fields: Any) -> Machine:
    name, release = system.split()
    return replace(UBUNTU, os=name, os_version=release, **fields)


def weights(kind: str, quantization: str, key: str = "tiny") -> Model:
    return model(format=kind, quantization=quantization, key=key)


def asked(
    engine: str,
    gpu: str | None,
    of: Model,
    machine: Machine = UBUNTU,
    **fields: Any,
) -> tuple[tuple[Refusal, ...], tuple[str, ...]]:
    service = Service(name="tiny", engine=engine, model=of, port=8000, **fields)
    accelerator = named(gpu) if gpu else None
    arguments = (service, of, accelerator, stack_of(accelerator), machine)
    return compatibility.refusals(*arguments), compatibility.warnings(*arguments)


def safetensors(quantization: str, key: str = "tiny") -> Model:
    return weights("safetensors", quantization, key)


GGUF = weights("gguf", "Q4_K_M")
V32 = safetensors("FP8", "deepseek-v3.2-fp8")
SPARSE = reshaped(safetensors("FP8", "our-own"), kv_lora_rank=512, index_head_dim=128)

REFUSED: dict[str, tuple[str, str | None, Model, str, str]] = {
    "vLLM on Volta": ("vllm", "V100", safetensors("FP16"), "no code for Volta", "llama.cpp or Oll"),
    "SGLang on Volta": ("sglang", "V100", safetensors("FP16"), "no code for Volta", "GGUF"),
    "KTransformers on Volta": ("ktransformers", "V100", safetensors("FP16"), "CUDA 13", "GGUF"),
    "AWQ on Volta": ("vllm", "V100", safetensors("AWQ"), "AWQ need .* 7.5", "Q4_K_M"),
    "BF16 on Volta": ("vllm", "V100", safetensors("BF16"), "no bfloat16", "llama.cpp"),
    "FP8 in SGLang on Ampere": ("sglang", "A100", safetensors("FP8"), "capability 8.9", "vLLM"),
    "sparse attention on Ampere": ("vllm", "A100", V32, "sparse attention", "Hopper"),
    "sparse attention on the 3090": ("vllm", "RTX 3090", V32, "sparse attention", "V3.1"),
    "sparse attention on Ada": ("vllm", "L40S", V32, "sparse attention", "Hopper or Blackwell"),
    "sparse attention by its shape": ("vllm", "A100", SPARSE, "sparse attention", "Hopper"),
    "KTransformers on Blackwell": (
        *("ktransformers", "RTX 5090", safetensors("INT4")),
        *("stop at compute capability 9.0", "llama.cpp"),
    ),
    "NVFP4 in SGLang on Hopper": ("sglang", "H200", safetensors("NVFP4"), "Blackwell", "FP8"),
    "GGUF in vLLM": ("vllm", "H200", GGUF, "it reads safetensors", "serve this one with llama"),
    "GGUF in SGLang": ("sglang", "H200", GGUF, "it reads safetensors", "safetensors variant"),
    "safetensors in llama.cpp": ("llama.cpp", None, safetensors("BF16"), "reads GGUF", "GGUF"),
    "safetensors in Ollama": ("ollama", "H200", safetensors("FP8"), "reads GGUF", "GGUF"),
    "SGLang without a GPU": ("sglang", None, safetensors("BF16"), "without a GPU", "llama.cpp or"),
    "sparse attention without a GPU": ("vllm", None, V32, "no sparse attention on a CPU", "dense"),
    "GGUF in KTransformers": (
        "ktransformers",
        "RTX 4090",
        GGUF,
        "experts alone from a GGUF",
        "FP8",
    ),
    "AWQ in KTransformers": (
        *("ktransformers", "RTX 4090", safetensors("AWQ")),
        *("FP8, BF16 or INT4", "original weights"),
    ),
    "SGLang on Ascend": ("sglang", "Ascend 910B", safetensors("BF16"), "from source", "vLLM"),
    "llama.cpp on Ascend": ("llama.cpp", "Ascend 910B", GGUF, "from source", "vllm-ascend"),
    "FP8 on Ascend": ("vllm", "Ascend 910B", safetensors("FP8"), "no arithmetic", "ModelSlim"),
    "KTransformers on AMD": ("ktransformers", "MI300X", safetensors("FP8"), "NVIDIA", "SGLang"),
    "unheard-of quantization": ("vllm", "H200", safetensors("EXL9"), "not read EXL9", "GGUF var"),
    "anything on Hygon": ("vllm", "K100-AI", safetensors("BF16"), "vendor alone", "images"),
}

PASSED: dict[str, tuple[str, str | None, Model]] = {
    "AWQ in vLLM on H800": ("vllm", "H800", safetensors("AWQ")),
    "FP8 in SGLang on Hopper": ("sglang", "H200", safetensors("FP8")),
    "FP8 in vLLM on Ada": ("vllm", "RTX 4090", safetensors("FP8")),
    "sparse attention on Hopper": ("vllm", "H200", V32),
    "NVFP4 on the 5090": ("vllm", "RTX 5090", safetensors("NVFP4")),
    "GGUF in llama.cpp on a CPU": ("llama.cpp", None, GGUF),
    "GGUF in Ollama on the 3090": ("ollama", "RTX 3090", GGUF),
    "BF16 in vLLM on a CPU": ("vllm", None, safetensors("BF16")),
    "KTransformers on the 4090": ("ktransformers", "RTX 4090", safetensors("INT4")),
}

WARNED: dict[str, tuple[str, str | None, Model, str]] = {
    "FP8 in vLLM on Ampere": ("vllm", "A100", safetensors("FP8"), "Marlin"),
    "NVFP4 in vLLM on Hopper": ("vllm", "H100", safetensors("NVFP4"), "Marlin"),
    "llama.cpp on Volta": ("llama.cpp", "V100", GGUF, "not run on such hardware"),
    "AWQ in vLLM on a CPU": ("vllm", None, safetensors("AWQ"), "on a CPU are not confirmed"),
    "FP8 in KTransformers": ("ktransformers", "RTX 4090", safetensors("FP8"), "AVX512_BF16"),
    "SGLang on AMD": ("sglang", "MI300X", safetensors("FP8"), "ROCm .* not run on such hardware"),
    "AWQ on AMD": ("vllm", "MI300X", safetensors("AWQ"), "not confirmed"),
    "vLLM on Ascend": ("vllm", "Ascend 910B", safetensors("BF16"), "CANN .* not run"),
    "unheard-of quantization": ("llama.cpp", "H200", weights("gguf", "XQ9"), "nothing is .* XQ9"),
    "sparse attention in SGLang on Ada": ("sglang", "L20", V32, "triton"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_is_refused_with_a_hint(case: str) -> None:
    engine, gpu, of, reason, hint = REFUSED[case]
    refusals, _ = asked(engine, gpu, of)
    assert [each for each in refusals if re.search(reason, each.reason)]
    assert [each for each in refusals if re.search(hint, each.hint)]


@pytest.mark.parametrize("case", PASSED)
def test_what_is_known_to_run_passes_in_silence(case: str) -> None:
    assert asked(*PASSED[case]) == ((), ())


@pytest.mark.parametrize("case", WARNED)
def test_what_is_not_proven_warns(case: str) -> None:
    engine, gpu, of, words = WARNED[case]
    refusals, warnings = asked(engine, gpu, of)
    assert not refusals
    assert re.search(words, " ".join(warnings))


@pytest.mark.parametrize(("system", "there"), SYSTEMS.items())
@pytest.mark.parametrize(
    ("engine", "needed"), [("vllm", 2.28), ("sglang", 2.34), ("ktransformers", 2.35)]
)
def test_each_engine_runs_where_its_c_library_is(
    system: str, there: float, engine: str, needed: float
) -> None:
    refusals, warnings = asked(engine, "RTX 4090", safetensors("INT4"), on(system))
    assert bool(refusals) == (there < needed)
    assert not warnings
    for each in refusals:
        assert f"needs glibc {needed}, and {system} has {there}" in each.reason


def test_an_unknown_system_warns() -> None:
    _, warnings = asked("vllm", "H200", safetensors("FP8"), on("ubuntu 30.04"))
    assert warnings == ("vllm is not known to run on ubuntu 30.04",)


def test_an_old_cpu_is_refused_by_ktransformers_and_doubted_by_torch() -> None:
    old = replace(UBUNTU, isa="x86-64-v2")
    refusals, _ = asked("ktransformers", "RTX 4090", safetensors("INT4"), old)
    assert "AVX2" in refusals[0].reason
    haswell = replace(UBUNTU, isa="x86-64-v3")
    refusals, _ = asked("ktransformers", "RTX 4090", safetensors("INT4"), haswell)
    assert "AVX-512" in refusals[0].reason
    refusals, warnings = asked("vllm", "RTX 4090", safetensors("AWQ"), old)
    assert not refusals and "AVX2" in warnings[0]


def test_a_card_that_the_table_does_not_have_warns() -> None:
    there = replace(UBUNTU, gpus=(*UBUNTU.gpus, Gpu(address="0000:01:00.0", pci_id="10de:9999")))
    assert compatibility.unknown_gpus(UBUNTU) == ()
    assert "10de:9999" in compatibility.unknown_gpus(there)[0]


# One card of each kind that a rule can tell from another.
KINDS = [*{(each.generation, each.compute): each.name for each in ACCELERATORS.values()}.values()]
EVERY_KIND = [
    *(("gguf", each) for each in ("Q4_K_M", "BF16", "UD-IQ1_S", "NEW")),
    *(("safetensors", each) for each in ("BF16", "FP8", "AWQ", "GPTQ-INT4", "NVFP4", "NEW")),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("gpu", [None, *KINDS])
def test_every_combination_has_exactly_one_answer(engine: str, gpu: str | None) -> None:
    for (kind, quantization), system in product(EVERY_KIND, [*SYSTEMS, "arch rolling"]):
        refusals, warnings = asked(engine, gpu, weights(kind, quantization), on(system))
        for each in refusals:
            assert each.reason and each.hint
            assert not each.reason.endswith(".") and not each.hint.endswith(".")
        # Unknown is never silent.
        if "NEW" in quantization or system == "arch rolling":
            assert refusals or warnings
        # Never in both lists for the same thing.
        assert not {str(each) for each in refusals} & set(warnings)


def test_every_model_of_the_catalogue_runs_somewhere() -> None:
    for of in CATALOGUE.values():
        ran = [
            (engine, gpu) for engine in ENGINES for gpu in KINDS if not asked(engine, gpu, of)[0]
        ]
        assert ran, of.key
        assert not any("nothing is known" in each for each in asked(*ran[0], of)[1])


def test_every_generation_has_a_lane() -> None:
    covered = [generation for stack in STACKS for generation in stack.generations]
    assert {*covered} == {*get_args(Generation)}
    for gpu in ACCELERATORS.values():
        assert stack_of(gpu).vendor == gpu.vendor
    assert stack_of(None).vendor is None


@pytest.mark.parametrize(
    ("gpu", "engines", "lane"),
    [
        ("Radeon PRO W7900", {"llama.cpp"}, "vulkan"),
        ("Radeon AI PRO R9700", {"llama.cpp"}, "vulkan"),
        ("Radeon PRO W7900", {"vllm"}, "rocm-radeon"),
        ("Radeon PRO W7900", {"vllm", "llama.cpp"}, "rocm-radeon"),
        ("MI300X", {"llama.cpp"}, "vulkan"),
        ("MI300X", {"sglang"}, "rocm"),
        ("MI300X", set(), "rocm"),
        ("H200", {"llama.cpp"}, "cuda13"),
        ("Ryzen AI MAX", {"llama.cpp"}, "ryzen-ai-max"),
    ],
)
def test_of_several_lanes_the_one_that_has_the_engines(
    gpu: str, engines: set[str], lane: str
) -> None:
    assert stack_of(named(gpu), engines).name == lane


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.name)
def test_a_lane_says_where_it_comes_from(stack: SoftwareStack) -> None:
    assert stack.source and re.fullmatch(r"2026-\d\d-\d\d", stack.date)
    assert set(stack.engines) <= set(ENGINES) and set(stack.torch) <= set(stack.engines)
    if stack.vendor == "nvidia":
        assert stack.driver and stack.minimum and stack.branch and stack.flavour
        assert stack.driver.startswith(f"{stack.branch}.")
        assert parsed(stack.minimum) <= parsed(stack.driver)


RULES = [
    *EVERY,
    *(rule for each in ENGINES.values() for rule in (each.reads.other, *each.rules)),
]


def test_a_rule_says_where_it_comes_from() -> None:
    for rule in RULES:
        assert rule.source and re.fullmatch(r"2026-\d\d-\d\d", rule.date)
        assert rule.what and rule.hint and not rule.hint.endswith(".")


def test_every_rule_answers_something() -> None:
    """No row that nothing can reach."""
    for rule in RULES:
        kinds = [
            safetensors(name, key)
            for name in (*rule.quantizations, "FP16")
            for key in ("tiny", "glm-5-fp8")
        ]
        kinds += [weights("gguf", name) for name in (*rule.quantizations, "Q4_K_M")]
        machines = [replace(UBUNTU, isa=isa) for isa in (*rule.isas, UBUNTU.isa)]
        gpus: list[str | None] = [None, *KINDS]
        caches = rule.kv_caches or ("auto",)
        assert any(
            any(rule.what in text for text in [*map(str, answer[0]), *answer[1]])
            for engine, gpu, of, there, cache in product(ENGINES, gpus, kinds, machines, caches)
            for answer in [asked(engine, gpu, of, there, kv_cache=cache)]
        ), rule.what


VOLTA, HOPPER, AMD = (stack_of(named(name)) for name in ("V100", "H800", "MI300X"))


@pytest.mark.parametrize(
    ("version", "stack", "reason"),
    [
        ("550.90.07", HOPPER, "older than 580.65.06, which CUDA 13.0 needs"),
        ("535.261.03", VOLTA, "older than 550.54.14"),
        ("595.91.07", VOLTA, "branch 580 was the last"),
        ("580", HOPPER, "not a driver version"),
        ("latest", HOPPER, "not a driver version"),
        ("580.178.04; reboot", HOPPER, "not a driver version"),
        ("30.30.3", AMD, "for NVIDIA alone"),
    ],
)
def test_a_driver_that_the_lane_cannot_have_is_refused(
    version: str, stack: SoftwareStack, reason: str
) -> None:
    with pytest.raises(Refusal, match=reason) as refusal:
        check_driver(version, stack)
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("version", "stack"),
    [("580.178.04", HOPPER), ("580.65.06", HOPPER), ("595.91.07", HOPPER), ("550.90.07", VOLTA)],
)
def test_a_driver_that_the_lane_can_have_passes(version: str, stack: SoftwareStack) -> None:
    check_driver(version, stack)
