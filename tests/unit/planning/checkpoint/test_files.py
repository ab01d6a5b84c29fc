"""Which files of a repository a name means: what people publish, and what they type."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.files import chosen, documents_of, heads_of
from deploys.planning.checkpoint.reference import reference
from deploys.planning.inputs.refusal import Refusal

QUANTIZATIONS = ("BF16", "IQ4_XS", "Q4_0", "Q4_K_M", "Q4_K_S", "Q8_0", "UD-Q4_K_M", "UD-Q4_K_XL")
# As Unsloth and others lay them out: all quantizations beside each other, and what belongs to all.
GGUF = (
    *(f"Qwen3-8B-{each}.gguf" for each in QUANTIZATIONS),
    *("mmproj-F16.gguf", "imatrix_unsloth.gguf", "README.md", "config.json"),
)
SHARDED = tuple(
    f"{each}/R1-{each}-0000{number}-of-00002.gguf"
    for each in ("Q4_K_M", "Q8_0", "UD-Q2_K_XL")
    for number in (1, 2)
)
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
SAFETENSORS = (
    *SHARDS,
    INDEX,
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "merges.txt"),
    *("chat_template.jinja", "modeling_x.py", "LICENSE", "README.md", "configuration.json"),
    *("consolidated.safetensors", "pytorch_model.bin", "original/consolidated.safetensors"),
    *("onnx/model.onnx", "metal/model.bin", "picture.png"),
)


def _chosen(paths: tuple[str, ...], pattern: str = "", **json: Any) -> list[str]:
    name = reference(f"modelscope:o/n:{pattern}" if pattern else "modelscope:o/n")
    files = dict.fromkeys(paths, 10)
    found = chosen(name, files, Documents(json=json))
    projector = [found.projector] if found.projector else []
    heads = [*found.weights, *projector] if found.format == "gguf" else []
    assert heads_of(name, files) == heads
    return [*found.weights, *found.beside]


def _index(files: tuple[str, ...] = SHARDS) -> dict[str, Any]:
    return {INDEX: {"weight_map": {f"tensor {file}": file for file in files}}}


def _refused(paths: tuple[str, ...], pattern: str = "", **json: Any) -> str:
    with pytest.raises(Refusal) as refused:
        _chosen(paths, pattern, **json)
    return str(refused.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Q4_K_M", "Q4_K_M"),
        ("q4_k_m", "Q4_K_M"),
        ("UD-Q4_K_M", "UD-Q4_K_M"),
        # A word of one name alone.
        ("Q4_K_XL", "UD-Q4_K_XL"),
        ("BF16", "BF16"),
        ("Qwen3-8B-Q8_0", "Q8_0"),
        ("qwen3-8b-q8_0.gguf", "Q8_0"),
        ("*-Q8_0.gguf", "Q8_0"),
        ("*IQ4*", "IQ4_XS"),
    ],
)
def test_one_gguf_of_many_is_what_was_typed(typed: str, meant: str) -> None:
    assert _chosen(GGUF, typed) == [f"Qwen3-8B-{meant}.gguf"]


@pytest.mark.parametrize("typed", ["", "*Q4_K_M*", "Q4_K", "F16", "*", "nonsense"])
def test_what_is_not_one_gguf_is_refused_with_what_there_is(typed: str) -> None:
    refused = _refused(GGUF, typed)
    assert "Write modelscope:o/n:" in refused
    there = ("Q4_K_M", "UD-Q4_K_M") if typed == "*Q4_K_M*" else QUANTIZATIONS
    assert all(each in refused for each in there)
    assert "mmproj" not in refused and "imatrix" not in refused


@pytest.mark.parametrize("typed", ["Q8_0", "Q8_0/*", "R1-Q8_0", "*Q8_0-00001-of-00002.gguf"])
def test_shards_come_together(typed: str) -> None:
    assert _chosen(SHARDED, typed) == [path for path in SHARDED if path.startswith("Q8_0/")]


@pytest.mark.parametrize(
    ("there", "projector"),
    [
        (("mmproj-F32.gguf", "mmproj-F16.gguf", "mmproj-BF16.gguf"), "mmproj-F16.gguf"),
        (("mmproj-F32.gguf", "mmproj-BF16.gguf"), "mmproj-BF16.gguf"),
        (("mmproj-model-f16.gguf",), "mmproj-model-f16.gguf"),
        (("Qwen3-VL-8B.mmproj-Q8_0.gguf", "imatrix.gguf"), "Qwen3-VL-8B.mmproj-Q8_0.gguf"),
        (("x-Q8_0.gguf",), None),
    ],
)
def test_a_projector_comes_with_any_quantization(
    there: tuple[str, ...], projector: str | None
) -> None:
    files = dict.fromkeys(("x-Q4_0.gguf", *there), 10)
    found = chosen(reference("modelscope:o/n:x-Q4_0"), files, Documents())
    assert (found.weights, found.projector) == (("x-Q4_0.gguf",), projector)


def test_a_set_that_lacks_a_shard_is_refused() -> None:
    assert "of the 2 shards of R1, 1 are listed" in _refused(("R1-00001-of-00002.gguf",))


def test_shards_beside_the_whole_file_are_told_apart_by_its_path() -> None:
    paths = ("x.gguf", "x-00001-of-00002.gguf", "x-00002-of-00002.gguf")
    assert "may be any of 2 models" in _refused(paths)
    assert _chosen(paths, "x.gguf") == ["x.gguf"]
    assert _chosen(paths, "x-0000*") == ["x-00001-of-00002.gguf", "x-00002-of-00002.gguf"]


def test_safetensors_are_what_the_index_says_and_what_engines_read_beside_them() -> None:
    assert _chosen(SAFETENSORS, **_index()) == [
        *SHARDS,
        *("LICENSE", "chat_template.jinja", "config.json", "generation_config.json", "merges.txt"),
        *(INDEX, "modeling_x.py", "tokenizer.json", "tokenizer.model"),
    ]


def test_a_file_that_the_index_names_and_the_hub_does_not_list_is_missing() -> None:
    refused = _refused((INDEX, SHARDS[0], "config.json"), **_index())
    assert SHARDS[1] in refused and "does not list" in refused


def test_a_file_that_the_index_does_not_name_is_left_out() -> None:
    more = "model-00003-of-00002.safetensors"
    assert more not in _chosen((*SAFETENSORS, more), **_index())
    assert "model.safetensors" not in _chosen((*SAFETENSORS, "model.safetensors"), **_index())


def test_two_sets_are_told_apart_by_what_is_typed() -> None:
    paths = ("fp16.safetensors", "fp8.safetensors", "config.json")
    assert "Write modelscope:o/n:fp16.safetensors" not in (refused := _refused(paths))
    assert "modelscope:o/n:fp16, or another of them: fp8" in refused
    assert _chosen(paths, "fp8") == ["fp8.safetensors", "config.json"]


def test_without_an_index_the_usual_name_is_the_one() -> None:
    paths = ("model.safetensors", "lora.safetensors", "config.json")
    assert _chosen(paths) == ["model.safetensors", "config.json"]
    assert _chosen((*SHARDS, "config.json")) == [*SHARDS, "config.json"]


def test_a_repository_of_both_is_safetensors_unless_a_gguf_is_typed() -> None:
    paths = ("model.safetensors", "config.json", "x-Q4_0.gguf", "x-Q8_0.gguf")
    assert _chosen(paths) == ["model.safetensors", "config.json"]
    assert _chosen(paths, "Q8_0") == ["x-Q8_0.gguf"]


def test_parts_that_modules_json_names_belong_to_the_model() -> None:
    modules = [{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}, {"path": None}, 7]
    paths = (
        *("model.safetensors", "config.json", "modules.json", "1_Pooling/config.json"),
        *("2_Dense/config.json", "2_Dense/model.safetensors", "2_Dense/pytorch_model.bin"),
        *("3_Other/config.json", "onnx/config.json"),
    )
    assert _chosen(paths, **{"modules.json": modules}) == [
        "model.safetensors",
        *("1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"),
        *("config.json", "modules.json"),
    ]


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (("pytorch_model.bin", "config.json"), "neither safetensors nor GGUF"),
        (("config.json", "sub/model.safetensors"), "neither safetensors nor GGUF"),
        (("consolidated.safetensors", "params.json"), "has no config.json"),
        (("adapter_model.safetensors", "adapter_config.json"), "is an adapter"),
        (("mmproj-F16.gguf", "config.json"), "neither safetensors nor GGUF"),
        (("x.gguf.part1of2", "x.gguf.part2of2"), "piece of a file"),
        ((), "has no config.json"),
    ],
)
def test_what_no_engine_reads_is_refused(paths: tuple[str, ...], why: str) -> None:
    assert why in _refused(paths)


def test_documents_are_those_that_something_is_decided_on() -> None:
    files = {
        **dict.fromkeys(SAFETENSORS, 10),
        **dict.fromkeys(("1_Pooling/config.json", "original/config.json", "../config.json"), 10),
        "tokenizer_config.json": 5 << 20,
        "hf_quant_config.json": -1,
    }
    assert documents_of(files, gguf=True) == ["README.md"]
    assert documents_of({}, gguf=True) == []
    assert documents_of(files, gguf=False) == [
        *("1_Pooling/config.json", "README.md", "chat_template.jinja", "config.json"),
        *("generation_config.json", INDEX),
    ]
