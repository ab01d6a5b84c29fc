"""Documents mutated at will: a refusal, or a network that can be planned with; never a crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from deploys.planning.checkpoint import architectures, gguf_network
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.cache import cache_bytes, fixed_bytes
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.models.parameters import parameter_count
from deploys.planning.models.shapes import Network
from tests.unit.planning.checkpoint.checkpoints import config
from tests.unit.planning.checkpoint.test_gguf_network import DEEPSEEK, GEMMA_4, QWEN_HYBRID, head

# One of each family.
NAMES = (
    *("Qwen--Qwen3-32B", "openai--gpt-oss-20b", "Qwen--Qwen3.6-35B-A3B", "google--gemma-4-26B-A4B"),
    *("deepseek-ai--DeepSeek-V3.2", "deepseek-ai--DeepSeek-V4-Pro", "moonshotai--Kimi-K3"),
    *("MiniMaxAI--MiniMax-M3", "XiaomiMiMo--MiMo-V2-Flash", "BAAI--bge-reranker-v2-m3"),
    *("meta-llama--Llama-4-Maverick-17B-128E-Instruct", "zai-org--GLM-5.2"),
    *("LGAI-EXAONE--EXAONE-4.0-32B", "mistralai--Devstral-Small-2-24B-Instruct-2512"),
)
CONFIGS = {name: config(name) for name in NAMES}
HEADS = {
    "deepseek2": head("deepseek2", DEEPSEEK, 129_280, 671_026_404_352),
    "qwen35moe": head("qwen35moe", QWEN_HYBRID, 248_320, 34_660_610_688),
    "gemma4": head("gemma4", GEMMA_4, 262_144, 30_697_345_596),
}
WRONG = some.one_of(
    some.none(),
    some.booleans(),
    some.sampled_from((0, 1, -1, 2, 3, 7, 10**6, 10**9, 10**30, float("nan"), float("inf"), 0.5)),
    some.sampled_from(("", "x", "64", [], {}, [0], [1, 2], [None], [[1]], ["full_attention"])),
    some.lists(some.integers(-2, 200), max_size=70),
    some.dictionaries(some.text(max_size=3), some.integers(), max_size=2),
    some.integers(),
    some.text(max_size=5),
)
# What sizing goes by; a value that is none of its kind is never replaced by another.
FIGURES = ("layers", "hidden", "heads", "kv_heads", "head_dim", "vocabulary", "context")


def sane(made: Network) -> None:
    """Check that a plan can be made with it."""
    for name in FIGURES:
        assert 0 < getattr(made, name) <= 10**9
    assert made.layers <= 1000 and made.heads % made.kv_heads == 0
    assert made.parameters > 0 and made.experts_used <= made.experts
    assert 0 <= made.mtp_layers <= 64 and made.dense_layers <= made.layers
    entry = Model(
        key="it",
        title="it",
        network=made,
        format="safetensors",
        quantization="BF16",
        files=("*",),
        size=2 * made.parameters,
        source="",
    )
    assert cache_bytes(entry) >= 0 and fixed_bytes(entry, range(made.layers)) >= 0
    assert len(parts(entry, entry.size).layers) == made.layers + made.mtp_layers
    # The parameters are the shape's, but for what looks at images.
    assert made.parameters >= parameter_count(made) * 0.9


def mutated(said: dict[str, Any], changes: list[tuple[str, Any]]) -> dict[str, Any]:
    """Change settings of a document, or of a part of it that has them."""
    found = {key: dict(each) if isinstance(each, dict) else each for key, each in said.items()}
    for key, value in changes:
        parts_of = [part for part in found.values() if isinstance(part, dict) and key in part]
        (parts_of[0] if parts_of else found)[key] = value
    return found


def keys_of(said: dict[str, Any]) -> list[str]:
    inner = (each for each in said.values() if isinstance(each, dict))
    return sorted({*said, *(str(key) for part in inner for key in part)})


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(data=some.data())
def test_no_configuration_crashes_or_is_read_with_invented_numbers(
    name: str, data: some.DataObject
) -> None:
    said = CONFIGS[name]
    some_key = some.sampled_from(keys_of(said))
    changes = data.draw(some.lists(some.tuples(some_key, WRONG), min_size=1, max_size=3))
    files = {"config.json": mutated(said, changes)}
    try:
        made = architectures.network(Documents(json=files), "it")
    except Refusal as refusal:
        assert refusal.reason.startswith("it: ") and len(refusal.reason) < 400
        assert "Network(" in refusal.hint
        return
    sane(made)


@pytest.mark.parametrize("name", HEADS)
@settings(max_examples=60, deadline=None)
@given(data=some.data())
def test_no_header_crashes_or_is_read_with_invented_numbers(
    name: str, data: some.DataObject
) -> None:
    said = HEADS[name]
    some_key = some.sampled_from(sorted(said))
    changes = data.draw(some.lists(some.tuples(some_key, WRONG), min_size=1, max_size=3))
    try:
        made = gguf_network.network(Documents(gguf={"a.gguf": said | dict(changes)}), "it")
    except Refusal as refusal:
        assert refusal.reason.startswith("it: ") and len(refusal.reason) < 400
        return
    sane(made)


@settings(max_examples=100, deadline=None)
@given(
    some.dictionaries(
        some.sampled_from(
            (
                *("config.json", "modules.json", "config_sentence_transformers.json"),
                *("model.safetensors.index.json", "hf_quant_config.json"),
            )
        ),
        some.recursive(WRONG, lambda each: some.lists(each, max_size=2), max_leaves=4),
    )
)
def test_whatever_else_a_repository_holds(files: dict[str, Any]) -> None:
    files.setdefault("config.json", CONFIGS["Qwen--Qwen3-32B"])
    try:
        sane(architectures.network(Documents(json=files), "it"))
    except Refusal as refusal:
        assert refusal.reason.startswith("it: ")


@pytest.mark.parametrize("wrong", ["64", 64.0, True, -64, [64, 63], {"value": 64}, 10**30])
def test_what_is_no_count_is_refused_and_shown(wrong: Any) -> None:
    files = {"config.json": CONFIGS["Qwen--Qwen3-32B"] | {"num_hidden_layers": wrong}}
    with pytest.raises(Refusal, match="says num_hidden_layers is "):
        architectures.network(Documents(json=files), "it")
