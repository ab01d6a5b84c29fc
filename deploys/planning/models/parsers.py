"""Names of the engines' parsers for a model's reasoning and its tool calls.

Without the first, the reasoning is part of the answer; without the second, a tool call is returned
as text. Models whose tool calls need a chat template that is not in their repository are left out:
DeepSeek-V3, V3.1 and R1-0528.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Parsers:
    """Names of one engine's parsers; None if the model does not reason, or does not call tools."""

    reasoning: str | None = None
    tools: str | None = None


_Names: TypeAlias = "tuple[str | None, str | None, str | None, str | None]"
_NONE: _Names = (None, None, None, None)
# By the beginning of the model's key, the longest that fits: reasoning and tools for vLLM, then for
# SGLang. Source: the registries of vLLM 0.32 (reasoning/__init__.py, tool_parsers/__init__.py) and
# SGLang 0.5.23 (reasoning_parser.py, function_call_parser.py), and the recipes in vLLM's source.
NAMES: dict[str, _Names] = {
    "deepseek-r1": ("deepseek_r1", None, "deepseek-r1", None),
    "deepseek-v3": _NONE,
    "deepseek-coder-": _NONE,
    "deepseek-v3.1": ("deepseek_v3", None, "deepseek-v3", None),
    "deepseek-v3.2": ("deepseek_v3", "deepseek_v32", "deepseek-v3", "deepseekv32"),
    "qwen2.5-": (None, "hermes", None, "qwen25"),
    "qwen3-": ("qwen3", "hermes", "qwen3", "qwen25"),
    "qwen3-30b-a3b-instruct": (None, "hermes", None, "qwen25"),
    "qwen3-235b-a22b-instruct": (None, "hermes", None, "qwen25"),
    "qwen3.6-": ("qwen3", "qwen3_coder", "qwen3", "qwen3_coder"),
    "llama-3.3-": (None, "llama3_json", None, "llama3"),
    "glm-4.6": ("glm45", "glm45", "glm45", "glm45"),
    "glm-4.7": ("glm45", "glm47", "glm45", "glm47"),
    "glm-5": ("glm45", "glm47", "glm45", "glm47"),
    "kimi-k2-instruct": (None, "kimi_k2", None, "kimi_k2"),
    "kimi-k2-thinking": ("kimi_k2", "kimi_k2", "kimi_k2", "kimi_k2"),
    "gpt-oss-": ("openai_gptoss", "openai", "gpt-oss", "gpt-oss"),
}


def vllm(model: str) -> Parsers:
    """Return vLLM's parsers of a model, by its key."""
    reasoning, tools, _, _ = _names(model)
    return Parsers(reasoning=reasoning, tools=tools)


def sglang(model: str) -> Parsers:
    """Return SGLang's parsers of a model, by its key."""
    _, _, reasoning, tools = _names(model)
    return Parsers(reasoning=reasoning, tools=tools)


def _names(model: str) -> _Names:
    fitting = [beginning for beginning in NAMES if model.startswith(beginning)]
    if not fitting:
        return _NONE
    return NAMES[max(fitting, key=len)]
