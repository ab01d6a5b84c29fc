"""What the documents of an adapter make of it, and what is refused; never a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from deploys.planning.adapters.adapter import Adapter, Matrix
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.inputs.refusal import Refusal
from deploys.remote.formats import lora
from tests.unit.planning.adapters.adapter_examples import (
    CONFIG,
    HEAD,
    LAYERS,
    gguf,
    peft,
    read,
    shapes,
)
from tests.unit.planning.checkpoint.test_mutated import WRONG, mutated


def test_an_adapter_of_peft() -> None:
    found = read(peft())
    assert found.key.startswith("legal-") and found.modelscope == "o/legal"
    assert found.files == ("adapter_model.safetensors", "adapter_config.json")
    assert (found.rank, found.alpha, found.layers) == (16, 32, LAYERS)
    assert (found.base, found.architecture, found.by_pattern) == ("Qwen/Qwen3-8B", None, False)
    assert found.size == 60_001_000 and found.revision == "c" * 40
    assert found.matrices == (
        Matrix(name="down_proj", inputs=12288, outputs=4096, rank=16, count=LAYERS),
        Matrix(name="q_proj", inputs=4096, outputs=4096, rank=16, count=LAYERS),
        Matrix(name="v_proj", inputs=4096, outputs=1024, rank=16, count=LAYERS),
    )


def test_an_adapter_in_gguf() -> None:
    found = read(gguf())
    assert (found.format, found.architecture, found.base) == ("gguf", "qwen3", "Qwen3 8B")
    assert (found.file, found.files) == ("legal-f16.gguf", ("legal-f16.gguf",))
    assert (found.rank, found.alpha, found.layers) == (16, 32, LAYERS)
    assert [matrix.name for matrix in found.matrices] == ["attn_q", "ffn_down"]


def test_the_rank_is_the_largest_of_its_matrices() -> None:
    mixed = shapes(rank=8) | {
        name: [64 if size == 8 else size for size in shape]
        for name, shape in shapes(rank=8).items()
        if "q_proj" in name
    }
    found = read(peft(lora.of_peft(mixed), r=8, rank_pattern={"q_proj": 64}))
    assert found.rank == 64


def test_experts_and_other_parts_are_told_apart() -> None:
    place = "base_model.model.model.layers.3.mlp.experts"
    said = lora.of_peft(
        {
            f"{place}.{expert}.up_proj.lora_{side}.weight": shape
            for expert in (0, 1)
            for side, shape in (("A", [8, 64]), ("B", [32, 8]))
        }
    )
    assert said == {"modules": [["experts.up_proj", 64, 32, 8, 2]], "layers": 4, "others": []}
    seeing = lora.of_peft({"base_model.model.visual.blocks.0.attn.proj.lora_A.weight": [8, 64]})
    assert seeing["modules"] == [] and len(seeing["others"]) == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"use_dora": True}, "has DoRA (use_dora), which no engine here loads"),
        ({"bias": "lora_only"}, "has a bias (bias=lora_only)"),
        ({"lora_bias": True}, "has a bias (lora_bias)"),
        ({"modules_to_save": ["lm_head"]}, "has whole modules (modules_to_save)"),
        ({"init_lora_weights": "pissa"}, "(init_lora_weights=pissa)"),
        ({"layer_replication": [[0, 4]]}, "has layers of its own (layer_replication)"),
        ({"alora_invocation_tokens": [1, 2]}, "Activated LoRA"),
        ({"trainable_token_indices": [5]}, "has tokens of its own"),
        ({"peft_type": "IA3"}, "is an adapter of the type IA3, and engines serve LORA alone"),
        ({"peft_type": None}, "of the type None"),
        ({"r": 0}, "cannot be read as a LoRA adapter: r is 0"),
        ({"lora_alpha": "x"}, "its alpha is x"),
    ],
)
def test_more_than_a_plain_lora_is_refused(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(replace(peft(), documents=replace(peft().documents, json=_config(said))))
    assert reason in refused.value.reason and refused.value.hint


@pytest.mark.parametrize("begins", [True, False, "gaussian", "eva", None])
def test_how_its_training_began_may_be_plain(begins: object) -> None:
    assert read(peft(init_lora_weights=begins)).rank == 16


def test_tensors_that_are_no_pair_are_refused() -> None:
    more = shapes() | {"base_model.model.lm_head.weight": [151936, 4096]}
    with pytest.raises(Refusal, match="belong to no pair of LoRA: base_model"):
        read(peft(lora.of_peft(more)))
    magnitude = shapes() | {"base_model.model.model.layers.0.lora_magnitude_vector": [4096]}
    with pytest.raises(Refusal, match="lora_magnitude_vector"):
        read(peft(lora.of_peft(magnitude)))


def test_what_is_no_adapter_is_refused() -> None:
    model = replace(gguf(), documents=Documents(gguf={"legal-f16.gguf": {"general.type": "model"}}))
    with pytest.raises(Refusal, match="is a model by itself, and no LoRA adapter"):
        read(model)
    pickled = replace(peft(), files={"adapter_config.json": 9, "adapter_model.bin": 9})
    with pytest.raises(Refusal, match=r"has no adapter_model\.safetensors"):
        read(replace(pickled, documents=replace(pickled.documents, adapter=None)))
    with pytest.raises(Refusal, match="it has neither adapter_config"):
        read(replace(peft(), files={"README.md": 3}, documents=Documents()))
    with pytest.raises(Refusal, match="of the type control_vector, and"):
        read(gguf(adapter__type="control_vector"))


@settings(max_examples=200, deadline=None)
@given(
    changes=some.lists(some.tuples(some.sampled_from(sorted(CONFIG)), WRONG), max_size=4),
    said=some.one_of(some.just(None), WRONG),
    row=some.lists(WRONG, max_size=6),
    size=some.integers(-2, 3),
)
def test_no_adapter_config_and_no_header_crashes(
    changes: list[tuple[str, Any]], said: Any, row: list[Any], size: int
) -> None:
    told = said if said is not None else {"modules": [row], "layers": 1, "others": []}
    found = peft(told, size=size)
    json = {"adapter_config.json": mutated(CONFIG, changes)}
    _refused_or_sane(lambda: read(replace(found, documents=Documents(json=json, adapter=told))))


@settings(max_examples=200, deadline=None)
@given(changes=some.lists(some.tuples(some.sampled_from(sorted(HEAD)), WRONG), max_size=4))
def test_no_header_of_a_gguf_crashes(changes: list[tuple[str, Any]]) -> None:
    head = {**HEAD, **dict(changes)}
    _refused_or_sane(
        lambda: read(replace(gguf(), documents=Documents(gguf={"legal-f16.gguf": head})))
    )


@settings(max_examples=200, deadline=None)
@given(
    tensors=some.dictionaries(
        some.one_of(some.text(max_size=20), some.sampled_from(sorted(shapes(layers=2)))),
        some.lists(some.integers(0, 10**9), max_size=4),
        max_size=8,
    )
)
def test_whatever_the_tensors_are_called_something_is_said_of_them(
    tensors: dict[str, list[int]],
) -> None:
    for said in (lora.of_peft(tensors), lora.of_gguf(tensors)):
        _refused_or_sane(lambda said=said: read(peft(said)))


def _refused_or_sane(made: Any) -> None:
    try:
        found: Adapter = made()
    except Refusal as refusal:
        assert refusal.reason.isprintable() and refusal.hint
        return
    assert 0 < found.rank < 1 << 24 and found.size > 0 and found.matrices
    for matrix in found.matrices:
        assert min(matrix.inputs, matrix.outputs, matrix.rank, matrix.count) > 0


def _config(said: dict[str, Any]) -> dict[str, Any]:
    return {"adapter_config.json": CONFIG | said}
