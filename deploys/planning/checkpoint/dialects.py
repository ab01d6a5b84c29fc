"""How a network writes its thoughts and its calls of tools, by chat template and architecture.

A template shows the model what its calls look like, and what stands around its thoughts. Where it
writes the same as others, the architecture tells them apart, and what a repository is called never
counts. Source: the templates that llama.cpp 0c1e570 has in models/templates, and what the parsers
of vLLM 0.32 look for.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.models.shapes import Dialect


@dataclass(frozen=True, kw_only=True)
class _Sign:
    """What a dialect is known by.

    + says: what the template holds, all of it
    + lacks: what it does not hold, any of it
    + of: how the name of the architecture begins, one of these; of any if none is given
    + asks: whether an answer begins with a thought, as the template's end has it
    """

    says: tuple[str, ...]
    dialect: Dialect
    lacks: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    asks: bool | None = None


_QWEN_2, _QWEN_3 = ("Qwen2", "qwen2"), ("Qwen3", "InternS1", "qwen3")
_QWEN_3_5 = ("Qwen3_5", "qwen35")
_GLM = ("Glm", "glm", "deepseek2")
_XML, _JSON = ("<tool_call>", "<function="), ("<tool_call>", "<tools>", '"name"')
_OLD_DEEPSEEK = ("<｜Assistant｜>", "<｜tool▁calls▁begin｜>")

# The first that fits is it.
_SIGNS = (
    _Sign(says=("<|channel|>", "<|start|>", "<|message|>"), dialect="gpt-oss"),
    _Sign(says=("<|tool_calls_section_begin|>", "<think>"), dialect="kimi-k2-thinking"),
    _Sign(says=("<|tool_calls_section_begin|>",), dialect="kimi-k2"),
    _Sign(says=("<|open|>", "<|close|>", "<|sep|>"), dialect="kimi-k3"),
    _Sign(says=("<minimax:tool_call>",), dialect="minimax-m2"),
    _Sign(says=("<mm:think>",), dialect="minimax-m3"),
    _Sign(says=("<seed:tool_call>",), dialect="seed-oss"),
    _Sign(says=("<|tool_call>", "<|channel>"), dialect="gemma-4"),
    _Sign(says=("hy_Assistant", "<tool_calls"), dialect="hy-3"),
    # DeepSeek has no template of its own for these; others write one.
    _Sign(says=("｜DSML｜", "function_calls"), dialect="deepseek-v3.2"),
    _Sign(says=("｜DSML｜", "tool_calls"), dialect="deepseek-v4"),
    _Sign(
        says=(*_OLD_DEEPSEEK, "is_last_user", "is_output_first", "</think>"),
        dialect="deepseek-r1-0528",
        of=("DeepseekV3", "deepseek2"),
    ),
    _Sign(
        says=(*_OLD_DEEPSEEK, "thinking", "</think>"),
        dialect="deepseek-v3.1",
        lacks=("is_output_first",),
        of=("DeepseekV3", "deepseek2"),
    ),
    _Sign(says=(*_OLD_DEEPSEEK, "</think>"), dialect="deepseek-r1"),
    _Sign(says=_OLD_DEEPSEEK, dialect="deepseek-v3"),
    _Sign(says=("[TOOL_CALLS]", "[THINK]"), dialect="magistral"),
    _Sign(says=("[TOOL_CALLS]",), dialect="mistral"),
    _Sign(says=("<tool_call>{function-name}<arg_key>",), dialect="glm-4.7", of=_GLM),
    _Sign(says=("<tool_call>{function-name}\n<arg_key>",), dialect="glm-4.5", of=_GLM),
    _Sign(says=_XML, dialect="step-3.5", of=("Step3p", "step35")),
    _Sign(says=_XML, dialect="nemotron-3", of=("NemotronH", "nemotron_h")),
    _Sign(says=_XML, dialect="mimo-v2-flash", of=("MiMoV2Flash",)),
    _Sign(says=_XML, dialect="mimo-v2.5", of=("MiMoV2",)),
    _Sign(says=(*_XML, "<think>"), dialect="qwen3.5"),
    _Sign(says=_XML, dialect="qwen3-coder"),
    _Sign(says=("<tool_call>", "<response>", "<think>"), dialect="ernie-4.5", of=("Ernie4_5",)),
    _Sign(says=("<tool_calls>", "<think>", "<answer>"), dialect="hunyuan", of=("HunYuan",)),
    _Sign(says=(*_JSON, "<think>"), dialect="qwq", of=_QWEN_2),
    # Templates of 2507 and later let a model think always, or never.
    _Sign(says=(*_JSON, "enable_thinking"), dialect="qwen3", of=_QWEN_3),
    _Sign(says=(*_JSON, "<think>"), dialect="qwen3-thinking", of=_QWEN_3, asks=True),
    _Sign(says=_JSON, dialect="qwen3-instruct", of=_QWEN_3),
    _Sign(says=_JSON, dialect="qwen2.5", lacks=("<think>",)),
    _Sign(says=("<|header_start|>", "tools"), dialect="llama-4"),
    _Sign(says=("<|start_header_id|>", "tools", '"parameters"'), dialect="llama-3"),
    _Sign(says=("<|tool|>", "tools"), dialect="phi-4-mini", of=("Phi3", "phi3")),
)
# What a template does not tell, or of whom none is published with the weights.
_OF: tuple[tuple[str, Dialect], ...] = (
    ("DeepseekV32", "deepseek-v3.2"),
    ("DeepseekV4For", "deepseek-v4"),
    ("GlmMoeDsa", "glm-4.7"),
    ("GptOss", "gpt-oss"),
    ("KimiK25", "kimi-k2-thinking"),
    ("KimiK3", "kimi-k3"),
    ("MiniMaxM2", "minimax-m2"),
    ("MiniMaxM3", "minimax-m3"),
    ("Gemma4", "gemma-4"),
    ("Qwen3_5", "qwen3.5"),
    ("SeedOss", "seed-oss"),
    ("HYV3", "hy-3"),
    ("Step3p5", "step-3.5"),
)
# A template without any of these words neither thinks nor calls.
_MORE = ("tool", "think", "function", "reason", "[INST]", "ipython")


def dialect(documents: Documents) -> Dialect | None:
    """Return the dialect, or None where nothing tells it, or where it is none that is known."""
    template, name = documents.template, documents.architecture or ""
    if template is not None:
        if found := _by_template(template, name):
            return found
        if not any(word in template for word in _MORE):
            return "plain"
    return next((known for begins, known in _OF if name.startswith(begins)), None)


def _by_template(template: str, name: str) -> Dialect | None:
    # JSON and Jinja write the end of a line as two characters, where it stands in a string.
    text = template.replace("\\n", "\n").replace('\\"', '"')
    for sign in _SIGNS:
        if (
            all(said in text for said in sign.says)
            and not any(said in text for said in sign.lacks)
            and (not sign.of or name.startswith(sign.of))
            and (sign.asks is None or sign.asks == _asks_for_thought(text))
        ):
            return sign.dialect
    return None


def _asks_for_thought(template: str) -> bool:
    """Return whether what comes before an answer ends with the beginning of a thought."""
    _, asked, end = template.rpartition("add_generation_prompt")
    return bool(asked) and "<think>" in end and "</think>" not in end
