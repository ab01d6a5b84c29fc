"""Names of the engines' parsers for how a network writes its thoughts and its calls of tools.

Without the first, the thoughts are part of the answer; without the second, a tool call is returned
as text.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.models.shapes import Dialect

# How a reranker is asked that answers with a word; vLLM goes by no template of the repository then.
VERDICT = "qwen3-reranker"


@dataclass(frozen=True, kw_only=True)
class Parsers:
    """Names of one engine's parsers; None if the model does not reason, or does not call tools.

    + template: chat template below templates/chat that tools need, as that of the repository does
      not tell the model of them; None where it does
    """

    reasoning: str | None = None
    tools: str | None = None
    template: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Readers:
    """Who reads a dialect: a pair of parsers of each engine, for thoughts and for calls."""

    vllm: tuple[str | None, str | None]
    sglang: tuple[str | None, str | None]
    template: str | None = None


# Source: the registries of vLLM 0.32 (reasoning/__init__.py, tool_parsers/__init__.py) and SGLang
# 0.5.23 (reasoning_parser.py, function_call_parser.py), and the recipes in vLLM's source.
_READ: dict[Dialect, _Readers] = {
    "plain": _Readers(vllm=(None, None), sglang=(None, None)),
    # Its first version and what was distilled from it were not trained to call tools.
    "deepseek-r1": _Readers(vllm=("deepseek_r1", None), sglang=("deepseek-r1", None)),
    "deepseek-r1-0528": _Readers(
        vllm=("deepseek_r1", "deepseek_v3"),
        sglang=("deepseek-r1", "deepseekv3"),
        template="deepseek-v3",
    ),
    # It does not reason; vLLM's parser passes everything through then.
    "deepseek-v3": _Readers(
        vllm=("deepseek_v3", "deepseek_v3"), sglang=(None, "deepseekv3"), template="deepseek-v3"
    ),
    "deepseek-v3.1": _Readers(
        vllm=("deepseek_v3", "deepseek_v31"),
        sglang=("deepseek-v3", "deepseekv31"),
        template="deepseek-v3.1",
    ),
    "deepseek-v3.2": _Readers(
        vllm=("deepseek_v3", "deepseek_v32"), sglang=("deepseek-v3", "deepseekv32")
    ),
    "deepseek-v4": _Readers(
        vllm=("deepseek_v4", "deepseek_v4"), sglang=("deepseek-v4", "deepseekv4")
    ),
    "qwen2.5": _Readers(vllm=(None, "hermes"), sglang=(None, "qwen25")),
    "qwq": _Readers(vllm=("deepseek_r1", "hermes"), sglang=("deepseek-r1", "qwen25")),
    "qwen3": _Readers(vllm=("qwen3", "hermes"), sglang=("qwen3", "qwen25")),
    # The 2507, Next and VL ones that answer at once: a parser of thoughts would take the answer.
    "qwen3-instruct": _Readers(vllm=(None, "hermes"), sglang=(None, "qwen25")),
    "qwen3-thinking": _Readers(vllm=("qwen3", "hermes"), sglang=("qwen3-thinking", "qwen25")),
    "qwen3-coder": _Readers(vllm=(None, "qwen3_coder"), sglang=(None, "qwen3_coder")),
    # 3.6 and 3.8 as well.
    "qwen3.5": _Readers(vllm=("qwen3", "qwen3_coder"), sglang=("qwen3", "qwen3_coder")),
    "llama-3": _Readers(vllm=(None, "llama3_json"), sglang=(None, "llama3")),
    "glm-4.5": _Readers(vllm=("glm45", "glm45"), sglang=("glm45", "glm45")),
    "glm-4.7": _Readers(vllm=("glm47", "glm47"), sglang=("glm45", "glm47")),
    "kimi-k2": _Readers(vllm=(None, "kimi_k2"), sglang=(None, "kimi_k2")),
    "kimi-k2-thinking": _Readers(vllm=("kimi_k2", "kimi_k2"), sglang=("kimi_k2", "kimi_k2")),
    "minimax-m2": _Readers(vllm=("minimax_m2", "minimax_m2"), sglang=("minimax", "minimax-m2")),
    "gpt-oss": _Readers(vllm=("openai_gptoss", "openai"), sglang=("gpt-oss", "gpt-oss")),
    "kimi-k3": _Readers(vllm=("kimi_k3", "kimi_k3"), sglang=("kimi_k3", "kimi_k3")),
    "minimax-m3": _Readers(vllm=("minimax_m3", "minimax_m3"), sglang=("minimax-m3", "minimax-m3")),
    "gemma-4": _Readers(vllm=("gemma4", "gemma4"), sglang=("gemma4", "gemma4")),
    "mistral": _Readers(vllm=(None, "mistral"), sglang=(None, "mistral")),
    # Whose thoughts stand in [THINK]: Magistral, and the later ones that reason.
    "magistral": _Readers(vllm=("mistral", "mistral"), sglang=("mistral", "mistral")),
    "llama-4": _Readers(vllm=(None, "llama4_pythonic"), sglang=(None, "pythonic")),
    # SGLang has no readers of these four's.
    "phi-4-mini": _Readers(vllm=(None, "phi4_mini_json"), sglang=(None, None)),
    "seed-oss": _Readers(vllm=("seed_oss", "seed_oss"), sglang=(None, None)),
    "ernie-4.5": _Readers(vllm=("ernie45", "ernie45"), sglang=(None, None)),
    "hunyuan": _Readers(vllm=("hunyuan_a13b", "hunyuan_a13b"), sglang=("hunyuan", None)),
    "hy-3": _Readers(vllm=("hy_v3", "hy_v3"), sglang=("hunyuan", "hunyuan")),
    "step-3.5": _Readers(vllm=("step3p5", "step3p5"), sglang=("step3p5", "step3p5")),
    "nemotron-3": _Readers(
        vllm=("nemotron_v3", "qwen3_coder"), sglang=("nemotron_3", "qwen3_coder")
    ),
    "mimo-v2-flash": _Readers(vllm=("qwen3", "mimo"), sglang=("qwen3", "mimo")),
    "mimo-v2.5": _Readers(vllm=("mimo", "mimo"), sglang=("mimo", "mimo")),
}
# What SGLang has that came after the one in KTransformers: readers of thoughts, and of calls.
# Source: the options of ktransformers 0.7.2, deploys/planning/options/recorded.
_AFTER_KTRANSFORMERS = (
    ("kimi_k3", "gemma4", "mistral", "hunyuan", "nemotron_3", "mimo"),
    ("kimi_k3", "gemma4", "hunyuan"),
)


def vllm(dialect: Dialect | None) -> Parsers:
    """Return vLLM's parsers of a dialect; none of an unknown one."""
    read = _READ[dialect or "plain"]
    return Parsers(reasoning=read.vllm[0], tools=read.vllm[1], template=read.template)


def sglang(dialect: Dialect | None) -> Parsers:
    """Return SGLang's parsers of a dialect; none of an unknown one."""
    read = _READ[dialect or "plain"]
    return Parsers(reasoning=read.sglang[0], tools=read.sglang[1], template=read.template)


def ktransformers(dialect: Dialect | None) -> Parsers:
    """Return KTransformers' parsers of a dialect: those of SGLang that its own copy has."""
    thoughts, calls = _AFTER_KTRANSFORMERS
    read = sglang(dialect)
    return Parsers(
        reasoning=None if read.reasoning in thoughts else read.reasoning,
        tools=None if read.tools in calls else read.tools,
        template=read.template,
    )
