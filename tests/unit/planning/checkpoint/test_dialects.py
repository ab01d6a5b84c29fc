"""Dialects by chat template and architecture, of templates that llama.cpp keeps."""

from __future__ import annotations

from typing import get_args

import pytest

from deploys.planning.checkpoint.dialects import dialect
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.models.shapes import Dialect
from tests.unit.planning.checkpoint.checkpoints import TEMPLATES, template

LLAMA, QWEN_2, QWEN_3 = "LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"
DEEPSEEK = "DeepseekV3ForCausalLM"
SPOKEN: dict[str, tuple[str, Dialect | None]] = {
    "ByteDance-Seed-OSS": ("SeedOssForCausalLM", "seed-oss"),
    "GLM-4.6": ("Glm4MoeForCausalLM", "glm-4.5"),
    "GLM-4.7-Flash": ("Glm4MoeLiteForCausalLM", "glm-4.7"),
    "Kimi-K2-Instruct": (DEEPSEEK, "kimi-k2"),
    "Kimi-K2-Thinking": (DEEPSEEK, "kimi-k2-thinking"),
    "Kimi-K3": ("KimiK3ForConditionalGeneration", "kimi-k3"),
    "MiniMax-M2": ("MiniMaxM2ForCausalLM", "minimax-m2"),
    "MiniMax-M3": ("MiniMaxM3SparseForConditionalGeneration", "minimax-m3"),
    "Mistral-Small-3.2-24B-Instruct-2506": ("Mistral3ForConditionalGeneration", "mistral"),
    "mistralai-Ministral-3-14B-Reasoning-2512": ("Mistral3ForConditionalGeneration", "magistral"),
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": ("NemotronHForCausalLM", "nemotron-3"),
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": (LLAMA, "qwen2.5"),
    "Qwen-QwQ-32B": (QWEN_2, "qwq"),
    "Qwen-Qwen2.5-7B-Instruct": (QWEN_2, "qwen2.5"),
    "Qwen-Qwen3-0.6B": (QWEN_3, "qwen3"),
    "Qwen3-Coder": ("Qwen3MoeForCausalLM", "qwen3-coder"),
    "Qwen3.5-4B": ("Qwen3_5ForConditionalGeneration", "qwen3.5"),
    "StepFun3.5-Flash": ("Step3p5ForCausalLM", "step-3.5"),
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": (LLAMA, "deepseek-r1"),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": (QWEN_2, "deepseek-r1"),
    "deepseek-ai-DeepSeek-V3.1": (DEEPSEEK, "deepseek-v3.1"),
    "deepseek-ai-DeepSeek-V3.2": ("DeepseekV32ForCausalLM", "deepseek-v3.2"),
    "deepseek-ai-DeepSeek-V4": ("DeepseekV4ForCausalLM", "deepseek-v4"),
    "google-gemma-2-2b-it": ("Gemma2ForCausalLM", "plain"),
    "google-gemma-4-31B-it": ("Gemma4ForConditionalGeneration", "gemma-4"),
    "meta-llama-Llama-3.1-8B-Instruct": (LLAMA, "llama-3"),
    "meta-llama-Llama-3.2-3B-Instruct": (LLAMA, "llama-3"),
    "openai-gpt-oss-120b": ("GptOssForCausalLM", "gpt-oss"),
    "tencent-Hy3": ("HYV3ForCausalLM", "hy-3"),
    # What no parser that is known reads, nobody takes for something else.
    "Apertus-8B-Instruct": ("ApertusForCausalLM", None),
    "inclusionai-ling-3.0-flash": ("BailingMoeV3ForCausalLM", None),
    "poolside-Laguna-S-2.1": ("LagunaForCausalLM", None),
    "LFM2-8B-A1B": ("Lfm2MoeForCausalLM", None),
    "HuggingFaceTB-SmolLM3-3B": ("SmolLM3ForCausalLM", None),
    "ibm-granite-granite-3.3-2B-Instruct": ("GraniteForCausalLM", None),
}


def of(architecture: str, text: str | None) -> Dialect | None:
    return dialect(
        Documents(json={"config.json": {"architectures": [architecture]}}, template=text)
    )


@pytest.mark.parametrize("stem", SPOKEN)
def test_a_template_tells_the_dialect(stem: str) -> None:
    architecture, spoken = SPOKEN[stem]
    assert of(architecture, template(stem)) == spoken


def test_gguf_names_the_architecture_in_its_own_way() -> None:
    for name, stem, spoken in (
        ("deepseek2", "deepseek-ai-DeepSeek-V3.1", "deepseek-v3.1"),
        ("deepseek2", "GLM-4.7-Flash", "glm-4.7"),
        ("glm4moe", "GLM-4.6", "glm-4.5"),
        ("qwen3moe", "Qwen-Qwen3-0.6B", "qwen3"),
        ("qwen2", "Qwen-QwQ-32B", "qwq"),
    ):
        head = {"general.architecture": name}
        assert dialect(Documents(gguf={"a.gguf": head}, template=template(stem))) == spoken


# What differs among those of one architecture, whose templates are much alike.
HERMES = (
    '<tools>\n<tool_call>\n{"name": <function-name>}\n</tool_call>\n{% if add_generation_prompt'
)
R1 = "<｜Assistant｜><｜tool▁calls▁begin｜> is_output_first </think>"


@pytest.mark.parametrize(
    ("architecture", "text", "spoken"),
    [
        # Qwen3 of April 2025 thinks if it is told to, those of 2507 always or never.
        (QWEN_3, f"{HERMES} %}}<think>\n\n</think>{{% if enable_thinking %}}", "qwen3"),
        (QWEN_3, f"{HERMES} %}}<|im_start|>assistant\\n<think>\\n", "qwen3-thinking"),
        (QWEN_3, f"{HERMES} %}}<|im_start|>assistant\\n", "qwen3-instruct"),
        ("Qwen3VLForConditionalGeneration", f"{HERMES} %}}", "qwen3-instruct"),
        ("Qwen3NextForCausalLM", f"{HERMES} %}}\\n<think>\\n", "qwen3-thinking"),
        # Who has Qwen's weights and a thinking template of another's is not Qwen.
        (LLAMA, f"{HERMES} %}}<think>\\n", None),
        (DEEPSEEK, f"{R1} is_last_user", "deepseek-r1-0528"),
        (DEEPSEEK, R1, "deepseek-r1"),
        (DEEPSEEK, R1.replace("</think>", ""), "deepseek-v3"),
        ("Llama4ForConditionalGeneration", "<|header_start|> tools", "llama-4"),
        ("Phi3ForCausalLM", "<|tool|>{{ message['tools'] }}<|/tool|>", "phi-4-mini"),
        ("MiMoV2FlashForCausalLM", "<tool_call>\n<function=x>", "mimo-v2-flash"),
        ("MiMoV2ForCausalLM", "<tool_call>\n<function=x>", "mimo-v2.5"),
    ],
)
def test_templates_that_are_much_alike_are_told_apart(
    architecture: str, text: str, spoken: Dialect | None
) -> None:
    assert of(architecture, text) == spoken


def test_without_a_template_only_an_architecture_with_one_dialect_tells_it() -> None:
    assert of("DeepseekV32ForCausalLM", None) == "deepseek-v3.2"
    assert of("GptOssForCausalLM", None) == "gpt-oss"
    assert of(QWEN_3, None) is None
    assert of(DEEPSEEK, None) is None
    assert dialect(Documents()) is None


def test_the_name_of_a_repository_is_never_read() -> None:
    files = {"config.json": {"architectures": [LLAMA], "_name_or_path": "Qwen/Qwen3-32B"}}
    assert dialect(Documents(json=files, template="{{ messages }}")) == "plain"


def test_each_dialect_that_a_template_can_tell_is_told_by_one_here() -> None:
    told = {spoken for _, spoken in SPOKEN.values()}
    told |= {mark.args[1][at][2] for mark in _marks() for at in range(len(mark.args[1]))}
    # Templates of Hunyuan and ERNIE are in none of our sources.
    assert set(get_args(Dialect)) - told <= {"hunyuan", "ernie-4.5"}


def _marks() -> list[pytest.Mark]:
    found = test_templates_that_are_much_alike_are_told_apart.pytestmark  # type: ignore[attr-defined]
    assert TEMPLATES and found
    return list(found)
