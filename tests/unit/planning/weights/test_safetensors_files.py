"""Of a repository's safetensors those are taken that are the model, once and whole, or it says why.

Numbers in names are a convention and the index is the truth: sglang pull request 24237,
MiniMax-M2.7, MiniCPM5-1B, Ring-2.5-1T.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.weights.listing import Listed, files_of
from tests.unit.planning.plan_examples import model

INDEX = "model.safetensors.index.json"
TREE = model(files=("*.safetensors*", "*.SAFETENSORS", "*.json"), format="safetensors")
BEGINS_AT_0 = ["model-00000-of-00001.safetensors"]
FEWER = [f"model-{number:05d}-of-00130.safetensors" for number in range(125)]
OTHERS = ["weights.00.safetensors", "weights.01.safetensors"]
SHARDS = [f"model-{number:05d}-of-00003.safetensors" for number in (1, 2, 3)]


def indexed(names: Sequence[str]) -> Documents:
    return Documents(json={INDEX: {"weight_map": {f"t{n}": name for n, name in enumerate(names)}}})


def chosen(
    paths: Sequence[str] | Mapping[str, int], documents: Documents | None = None
) -> list[str]:
    sizes = paths if isinstance(paths, Mapping) else dict.fromkeys(paths, 100)
    listing = [Listed(path=path, size=size, sha256="a" * 64) for path, size in sizes.items()]
    return [file.path for file in files_of(TREE, listing, documents)]


@pytest.mark.parametrize("names", [BEGINS_AT_0, FEWER, OTHERS, SHARDS])
def test_a_set_is_whole_if_its_index_says_so(names: list[str]) -> None:
    assert chosen([INDEX, *names], indexed(names)) == sorted([INDEX, *names])
    # Of a large set one is left out in each place that a name could hide.
    for missing in {names[0], names[len(names) // 2], names[-1]}:
        rest = [name for name in names if name != missing]
        with pytest.raises(Refusal, match=rf"{len(names)} files .* 1 are missing \({missing}\)"):
            chosen([INDEX, *rest, "other.safetensors"], indexed(names))


def test_who_lacks_a_file_is_told_apart() -> None:
    listing = [Listed(path=path, size=1, sha256="a" * 64) for path in (INDEX, *SHARDS)]
    narrow = model(files=("*[12]-of*", "*.json"), format="safetensors")
    with pytest.raises(Refusal, match="Correct the file patterns"):
        files_of(narrow, listing, indexed(SHARDS))
    with pytest.raises(Refusal, match="this one lacks them"):
        files_of(TREE, listing[:-1], indexed(SHARDS))


@pytest.mark.parametrize("index", [[], {}, {"weight_map": {}}, {"weight_map": ["a"]}, "x", 0])
def test_an_index_that_is_none_is_refused(index: Any) -> None:
    with pytest.raises(Refusal, match="has no weight_map"):
        chosen([INDEX, *SHARDS], Documents(json={INDEX: index}))


MISTRAL = {"consolidated.safetensors": 300, "config.json": 1}


@pytest.mark.parametrize(
    ("paths", "names", "said"),
    [
        # mistralai/Mistral-7B-Instruct-v0.3: vLLM loads the one, SGLang the other.
        ({**MISTRAL, INDEX: 1, **dict.fromkeys(SHARDS, 100)}, SHARDS, r"model\*\.safetensors"),
        ({**MISTRAL, "model.safetensors": 300}, None, "leaves the former out"),
        ({"consolidated-00001-of-00001.safetensors": 9, "m.safetensors": 9}, None, "engines dif"),
        # openai/gpt-oss-20b, and what other programs load.
        ({"model.safetensors": 9, "original/model.safetensors": 9}, None, "as original/"),
        ({"model.safetensors": 9, "onnx/model.safetensors": 4}, None, "as onnx/"),
        ({**dict.fromkeys(SHARDS, 100), "model.safetensors": 300}, None, "as model.safetensors"),
        ({INDEX: 1, **dict.fromkeys(SHARDS, 9), "whole.safetensors": 27}, SHARDS, "as whole"),
        ({"model.safetensors": 20, "model.fp16.safetensors": 10}, None, r"as model\.fp16"),
        (["a/model.safetensors", "b/model.safetensors"], None, "in folders alone"),
        (["transformer/m.safetensors", "config.json"], None, "where no engine looks"),
        (["MODEL.SAFETENSORS"], None, "its name ends in capitals"),
        (["m.safetensors.part1of2", "m.safetensors.part2of2"], None, "is a piece of a file"),
        (["model.safetensors-split-a", "x.safetensors"], None, "is a piece of a file"),
        (["config.json", INDEX], None, "none of its files is weights"),
    ],
)  # fmt: skip
def test_what_engines_would_load_otherwise_is_refused(
    paths: Any, names: list[str] | None, said: str
) -> None:
    with pytest.raises(Refusal, match=said) as refusal:
        chosen(paths, indexed(names) if names else None)
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ({INDEX: 1, **dict.fromkeys(SHARDS, 100), "mtp.safetensors": 20}, SHARDS),
        ({"model.safetensors": 100, "2_Dense/model.safetensors": 3, "config.json": 1}, None),
        ({"model.safetensors": 100, "1_Pooling/config.json": 1}, None),
        # Whoever made these loads them all.
        (["visual.safetensors", "language.safetensors"], None),
        (MISTRAL, None),
    ],
)
def test_what_belongs_to_a_model_is_no_copy(paths: Any, names: list[str] | None) -> None:
    assert chosen(paths, indexed(names) if names else None) == sorted(paths)


_NAMES = some.one_of(
    some.sampled_from([*SHARDS, *BEGINS_AT_0, *OTHERS, INDEX, "config.json", "MODEL.SAFETENSORS"]),
    some.sampled_from(["mmproj.gguf", "a.gguf", "A-00001-of-00002.GGUF", "a-00000-of-00002.gguf"]),
    some.sampled_from(["imatrix.gguf", "a.gguf.part1of2", "m-draft.gguf", "ggml-vocab-a.gguf"]),
    some.text("ab-/.0", min_size=1, max_size=8).map(lambda text: f"{text}.safetensors"),
    some.text("ab-/.0", min_size=1, max_size=8).map(lambda text: f"{text}.gguf"),
)
_ANY = some.recursive(
    some.none() | some.integers(-3, 9) | some.text("ab", max_size=2) | some.sampled_from(SHARDS),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(["weight_map", "metadata", "a", "b"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(
    some.dictionaries(_NAMES, some.integers(-1, 400), max_size=6),
    _ANY,
    some.sampled_from(["safetensors", "gguf"]),
    some.sampled_from(["model", "adapter", "mmproj", 3]),
    some.sampled_from([0, 1, 2, 3, "2", None, True]),
)
def test_whatever_is_listed_it_is_a_right_set_or_refused(
    sizes: dict[str, int], index: Any, kind: str, what: Any, count: Any
) -> None:
    headers = {path: {"general.type": what, "split.count": count} for path in list(sizes)[:1]}
    wanted = model(files=("*",), format=kind, quantization="BF16")
    listing = [Listed(path=path, size=size, sha256="a" * 64) for path, size in sizes.items()]
    documents = Documents(json={} if index is None else {INDEX: index}, gguf=headers)
    try:
        files = files_of(wanted, listing, documents)
    except Refusal as refusal:
        assert refusal.reason and refusal.hint
        return
    paths = {file.path for file in files}
    if kind == "safetensors":
        weights = {path for path in paths if path.endswith(".safetensors") and "/" not in path}
        assert weights and not any(path.endswith(".SAFETENSORS") for path in paths)
        if INDEX in paths and index is not None:
            assert set(map(str, index["weight_map"].values())) <= weights
        return
    from deploys.planning.weights.gguf_files import is_beside, model_file

    file = model_file(paths, headers)
    assert file in paths and not is_beside(file)
    assert headers.get(file, {}).get("general.type", "model") == "model"
