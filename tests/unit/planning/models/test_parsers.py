"""Who reads what a network writes: by its dialect, and as the operator says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models import parsers
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.parsers import Parsers
from deploys.planning.models.shapes import Dialect
from deploys.planning.options import answers
from deploys.planning.options.record import accepted
from deploys.planning.plan import HostPlan
from deploys.rendering import templates
from tests.unit import ROOT, UNIT
from tests.unit.planning.plan_examples import attempt, profile, reshaped, service
from tests.unit.rendering.render_examples import on
from tests.unit.rendering.test_render_python_engines import environment, files, told

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
RECIPES = yaml.safe_load((UNIT / "data" / "vllm_parsers.yaml").read_text())["recipes"]
# Recipes of networks that speak a dialect, beside those of our own catalogue.
SPOKEN: dict[Dialect, tuple[str, ...]] = {
    "deepseek-r1-0528": ("deepseek-ai/DeepSeek-R1",),
    "deepseek-v4": ("deepseek-ai/DeepSeek-V4-Pro", "deepseek-ai/DeepSeek-V4-Flash"),
    "qwq": ("Qwen/QwQ-32B",),
    "qwen3": ("Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B"),
    "qwen3-instruct": ("Qwen/Qwen3-Next-80B-A3B-Instruct", "Qwen/Qwen3-VL-30B-A3B-Instruct"),
    "qwen3-coder": ("Qwen/Qwen3-Coder-480B-A35B-Instruct",),
    "qwen3.5": ("Qwen/Qwen3.5-27B", "Qwen/Qwen3.8-27B", "Qwen/Qwen3.8-Flash-Next"),
    "glm-4.5": ("zai-org/GLM-4.5", "zai-org/GLM-4.6V"),
    "glm-4.7": ("zai-org/GLM-5.2", "zai-org/GLM-5.3"),
    "kimi-k2-thinking": ("moonshotai/Kimi-K2.6",),
    "minimax-m2": ("MiniMaxAI/MiniMax-M2", "MiniMaxAI/MiniMax-M2.7"),
    "minimax-m3": ("MiniMaxAI/MiniMax-M3", "MiniMaxAI/MiniMax-M3.1-Flash"),
    "kimi-k3": ("moonshotai/Kimi-K3",),
    "gemma-4": ("Google/gemma-4-31B-it", "Google/gemma-4-E4B-it"),
    "mistral": ("mistralai/Ministral-3-14B-Instruct-2512",),
    "magistral": ("mistralai/Ministral-3-8B-Reasoning-2512", "mistralai/Mistral-Small-4-119B-2603"),
    "seed-oss": ("ByteDance-Seed/Seed-OSS-36B-Instruct",),
    "hy-3": ("tencent/Hy3",),
    "step-3.5": ("stepfun-ai/Step-3.5-Flash", "stepfun-ai/Step-3.7-Flash"),
    "nemotron-3": ("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16",),
    "mimo-v2-flash": ("XiaomiMiMo/MiMo-V2-Flash",),
    "mimo-v2.5": ("XiaomiMiMo/MiMo-V2.5",),
}
# Whose calls of tools SGLang does not read.
OF_VLLM_ALONE = ("phi-4-mini", "seed-oss", "ernie-4.5", "hunyuan")
# Where we decide otherwise, why.
DIFFERS = {
    "deepseek-ai/DeepSeek-R1": "R1 of January 2025 was not trained to call tools, 0528 was",
    "Google/gemma-4-31B-it": "its own template tells of tools, too",
    "Google/gemma-4-E4B-it": "its own template tells of tools, too",
}


def known() -> list[tuple[str, Dialect]]:
    ours = {entry.network.repository: entry.network.dialect for entry in CATALOGUE.values()}
    more = [(recipe, dialect) for dialect, recipes in SPOKEN.items() for recipe in recipes]
    found = [(name, dialect) for name, dialect in ours.items() if name in RECIPES and dialect]
    return [*found, *more]


@pytest.mark.parametrize(("recipe", "dialect"), known())
def test_what_a_recipe_says_is_what_we_say(recipe: str, dialect: Dialect) -> None:
    """A recipe that leaves a parser out says nothing of it."""
    said, ours = RECIPES[recipe], parsers.vllm(dialect)
    if recipe in DIFFERS and dialect == "deepseek-r1":
        assert ours.tools is None and ours.reasoning == said["reasoning"]
        return
    for name in ("reasoning", "tools"):
        if name in said:
            assert getattr(ours, name) == said[name], name
    if dialect != "gemma-4":
        assert (ours.template is not None) == ("template" in said)


def test_enough_of_them_are_compared() -> None:
    assert len(known()) >= 30 and {dialect for _, dialect in known()} >= set(SPOKEN)


def test_no_recipe_has_a_reader_of_thoughts_where_we_have_none() -> None:
    silent = {dialect for dialect in DIALECTS if parsers.vllm(dialect).reasoning is None}
    for recipe, dialect in known():
        assert not (dialect in silent and "reasoning" in RECIPES[recipe]), recipe


@pytest.mark.parametrize("engine", ["vllm", "sglang", "ktransformers"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_pinned_version_has_these_parsers(engine: str, dialect: Dialect) -> None:
    options = accepted(engine, stack_of(named("H200")).engines[engine])
    of = ENGINES[engine].parsers
    assert of is not None
    found = of(dialect)
    assert found.reasoning in (None, *options["--reasoning-parser"].choices)
    assert found.tools in (None, *options["--tool-call-parser"].choices)


def test_the_engines_agree_on_who_reasons_and_who_calls_tools() -> None:
    for dialect in DIALECTS:
        one, other = parsers.vllm(dialect), parsers.sglang(dialect)
        # V3 does not reason: vLLM has a parser that passes everything through, SGLang needs none.
        if dialect != "deepseek-v3" and dialect not in OF_VLLM_ALONE:
            assert bool(one.reasoning) == bool(other.reasoning), dialect
        if dialect in OF_VLLM_ALONE:
            assert one.tools and not other.tools
            continue
        assert (bool(one.tools), one.template) == (bool(other.tools), other.template)


def named_so(key: str, like: str | None) -> HostPlan:
    """A model of the operator's own, with the shape of one that we know, or of no known dialect."""
    entry = replace(CATALOGUE["qwen3-32b-awq"], key=key)
    return on("rtx4090", model=reshaped(entry, dialect=like), port=8000)


@pytest.mark.parametrize(
    ("key", "dialect", "reasoning", "tools"),
    [
        ("my-finetune", "qwen3", "qwen3", "hermes"),
        ("qwen3-coder-30b-a3b-instruct-awq", "qwen3-coder", None, "qwen3_coder"),
        ("qwen3-next-80b-a3b-instruct-awq", "qwen3-instruct", None, "hermes"),
        ("qwen3-vl-30b-a3b-instruct-awq", "qwen3-instruct", None, "hermes"),
        ("minimax-m2-awq", "minimax-m2", "minimax_m2", "minimax_m2"),
        ("qwen3.5-27b-awq", "qwen3.5", "qwen3", "qwen3_coder"),
        ("kimi", "kimi-k2-thinking", "kimi_k2", "kimi_k2"),
        # The spelling of a key says nothing.
        ("qwen3-32b-awq", None, None, None),
        ("deepseek-r1-awq", "plain", None, None),
    ],
)
def test_the_network_decides_and_never_the_key(
    key: str, dialect: str | None, reasoning: str | None, tools: str | None
) -> None:
    found = told(named_so(key, dialect))
    assert (found.get("reasoning-parser"), found.get("tool-call-parser")) == (reasoning, tools)
    assert ("enable-auto-tool-choice" in found) == (tools is not None)


def test_a_dialect_that_nobody_speaks_is_refused() -> None:
    with pytest.raises(Refusal, match=r"no dialect 'klingon'.*Write one of plain, "):
        reshaped(CATALOGUE["qwen3-32b"], dialect="klingon")


def test_what_the_operator_says_wins() -> None:
    made = told(on("l40s", reasoning_parser="deepseek_r1", tool_parser="none"))
    assert made["reasoning-parser"] == "deepseek_r1" and "tool-call-parser" not in made
    assert "enable-auto-tool-choice" not in made


def test_a_parser_that_the_version_lacks_is_refused() -> None:
    with pytest.raises(Refusal, match=r"vllm 0\.32\.0 has no reasoning_parser 'qwen4'") as caught:
        on("l40s", reasoning_parser="qwen4")
    assert "deepseek_r1" in caught.value.hint and "none" in caught.value.hint
    with pytest.raises(Refusal, match=r"sglang 0\.5\.23 has no tool_parser 'deepseek_v31'"):
        on("h200", tool_parser="deepseek_v31")


CHAT = "{% for message in messages %}{% generation %}{{ message.content }}{% endgeneration %}"


def test_a_chat_template_of_the_operator_is_given_to_the_engine(tmp_path: Path) -> None:
    own = tmp_path / "own.jinja"
    own.write_text(CHAT + "{% endfor %}")
    for made in (on("l40s", chat_template=own), on("h200", chat_template=own)):
        (name,) = (planned.name for planned in made.services)
        path = f"/etc/modelrack/services/{name}.jinja"
        assert told(made)["chat-template"] == path
        assert files(made)[path].content == own.read_text()
    llama = on("cpu", chat_template=own)
    path = environment(llama)["LLAMA_ARG_CHAT_TEMPLATE_FILE"]
    assert files(llama)[path].content == own.read_text()
    # Another text is another server; the operator's folders are nobody's business.
    before = json.dumps(made.deployed())
    assert str(tmp_path) not in before and '"chat_template": "own.jinja"' in before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "cannot be read: it is not text in UTF-8"),
        (CHAT.encode(), "is no Jinja template: line 1: "),
    ],
)
def test_a_chat_template_that_is_none_is_refused(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    own = tmp_path / "own.jinja"
    if content is not None:
        own.write_bytes(content)
    made = attempt(profile(service(chat_template=own)))
    (refusal,) = made.refusals
    assert said in str(refusal) and str(own) in str(refusal)


def test_tools_bring_the_template_that_they_need(tmp_path: Path) -> None:
    for engine, tools in (("vllm", "deepseek_v31"), ("sglang", "deepseekv31")):
        made = on("h200", engine=engine, model="deepseek-v3.1")
        found = told(made)
        assert found["tool-call-parser"] == tools
        assert "The form of tools" in files(made)[found["chat-template"]].content
        assert "chat-template" not in told(on("h200", engine=engine, model="deepseek-v3.2"))
        # Nobody reads the calls: the model's own template will do.
        without = on("h200", engine=engine, model="deepseek-v3.1", tool_parser="none")
        assert "chat-template" not in told(without)
    asked = service(engine="vllm", model="deepseek-v3.1", chat_template=tmp_path / "x")
    assert answers.parsers_of(asked).template is None


TOOL = {"name": "look", "description": "Look it up.", "parameters": {"type": "object"}}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"type": "function", "function": {"name": "look", "arguments": {"at": n}}} for n in (1, 2)
    ],
}
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
ANSWERED = [*ASKED, CALLED, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}]


def written(name: str, messages: list[dict[str, Any]], **given: Any) -> str:
    """As transformers renders a chat template."""
    engine = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    engine.filters["tojson"] = json.dumps
    template = engine.from_string(templates.source(f"chat/{name}.jinja"))
    return template.render(messages=messages, bos_token="<b>", add_generation_prompt=True, **given)


@pytest.mark.parametrize("tool", [TOOL, {"type": "function", "function": TOOL}])
def test_a_shipped_template_says_which_tools_there_are(tool: dict[str, Any]) -> None:
    """Some engines leave the wrapping out."""
    text = written("deepseek-v3.1", ASKED, tools=[tool])
    assert text.startswith("<b>Be brief.\n\n## Tools\nYou have access to the following tools:\n")
    assert '### look\nDescription: Look it up.\n\nParameters: {"type": "object"}\n' in text
    assert text.endswith("<｜User｜>Hello<｜Assistant｜></think>")
    text = written("deepseek-v3", ASKED, tools=[tool])
    assert json.dumps(TOOL) in text and text.endswith("<｜User｜>Hello<｜Assistant｜>")


def test_a_shipped_template_writes_calls_as_their_parsers_read_them() -> None:
    first, second = '{"at": 1}', '{"at": 2}'
    assert written("deepseek-v3.1", ANSWERED) == (
        "<b>Be brief.<｜User｜>Hello<｜Assistant｜></think><｜tool▁calls▁begin｜>"
        f"<｜tool▁call▁begin｜>look<｜tool▁sep｜>{first}<｜tool▁call▁end｜>"
        f"<｜tool▁call▁begin｜>look<｜tool▁sep｜>{second}<｜tool▁call▁end｜>"
        "<｜tool▁calls▁end｜><｜end▁of▁sentence｜>"
        "<｜tool▁output▁begin｜>1<｜tool▁output▁end｜><｜tool▁output▁begin｜>2<｜tool▁output▁end｜>"
    )
    begin = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>look\n```json\n"
    end = "\n```<｜tool▁call▁end｜>"
    assert written("deepseek-v3", ANSWERED) == (
        "<b>Be brief.<｜User｜>Hello<｜Assistant｜><｜tool▁calls▁begin｜>"
        f"{begin}{first}{end}\n{begin}{second}{end}<｜tool▁calls▁end｜><｜end▁of▁sentence｜>"
        "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>1<｜tool▁output▁end｜>\n"
        "<｜tool▁output▁begin｜>2<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"
    )


def test_thoughts_are_asked_for_or_not_and_never_repeated() -> None:
    assert written("deepseek-v3.1", ASKED, thinking=True).endswith("<｜Assistant｜><think>")
    thought = {"role": "assistant", "content": "<think>Hm.</think>Yes."}
    for name in ("deepseek-v3", "deepseek-v3.1"):
        text = written(name, [*ASKED, thought, ASKED[1]])
        assert (
            "Hm." not in text and "Yes.<｜end▁of▁sentence｜><｜User｜>Hello<｜Assistant｜>" in text
        )


def test_a_reranker_is_asked_what_it_was_trained_to_answer() -> None:
    """As the description of Qwen3-Reranker has it, in the roles that vLLM gives its texts."""
    asked = [{"role": "query", "content": "Who?"}, {"role": "document", "content": "He."}]
    text = written(parsers.VERDICT, asked)
    assert text.startswith("<|im_start|>system\nJudge whether the Document meets the requirements")
    assert 'the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: ' in text
    assert "\n<Query>: Who?\n<Document>: He.<|im_end|>\n<|im_start|>assistant\n" in text
    assert text.endswith("assistant\n<think>\n\n</think>\n\n")
    told = written(parsers.VERDICT, asked, instruction="Find duplicates")
    assert "<Instruct>: Find duplicates\n<Query>" in told


def test_every_shipped_template_is_needed() -> None:
    there = {path.stem for path in (ROOT / "templates" / "chat").iterdir()}
    of_dialects = {found.template for found in map(parsers.vllm, DIALECTS) if found.template}
    assert there == {*of_dialects, parsers.VERDICT}
    assert parsers.sglang(None) == Parsers()
