"""Texts of a repository, parsed: what is kept of them, and what is none."""

from __future__ import annotations

import json

import pytest

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.parsed import documents
from deploys.planning.inputs.refusal import Refusal

INDEX = "model.safetensors.index.json"
README = "---\nlanguage:\n- en\nlicense: {}\n---\n# A model\nlicense: mit\n"


def test_an_index_keeps_one_tensor_of_each_file() -> None:
    mapped = {f"model.layers.{n}.a": f"model-{n // 1000}.safetensors" for n in range(3000)}
    text = json.dumps({"metadata": {"total_size": 7, "more": [1]}, "weight_map": mapped})
    assert documents({INDEX: text}, {}).json[INDEX] == {
        "metadata": {"total_size": 7},
        "weight_map": {f"model.layers.{n * 1000}.a": f"model-{n}.safetensors" for n in range(3)},
        "layers": 3000,
        "mtp": False,
    }


@pytest.mark.parametrize(
    ("tensors", "layers", "mtp"),
    [
        (["model.layers.0.a", "model.layers.61.a"], 62, False),
        (["language_model.model.layers.2.a", "visual.layers.40.a"], 3, False),
        (["model.language_model.layers.2.a", "mtp.layers.0.a"], 3, True),
        (["model.vision_tower.layers.9.a", "blocks.layers.9.a"], 0, False),
    ],
)
def test_an_index_tells_how_many_layers_its_tensors_are_of(
    tensors: list[str], layers: int, mtp: bool
) -> None:
    text = json.dumps({"metadata": {}, "weight_map": dict.fromkeys(tensors, "a.safetensors")})
    found = documents({INDEX: text}, {}).json[INDEX]
    assert (found["layers"], found["mtp"]) == (layers, mtp)


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": {"a": 1}}', '{"weight_map": []}'])
def test_an_index_without_a_map_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="has no weight_map"):
        documents({INDEX: text}, {})


def test_the_template_is_taken_from_wherever_it_is() -> None:
    own = {"chat_template": "{{ own }}", "tokenizer_class": "X", "added_tokens_decoder": {"1": {}}}
    named = {
        "chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]
    }
    texts = {"tokenizer_config.json": json.dumps(own)}
    assert documents(texts, {}).template == "{{ own }}"
    assert documents(texts, {}).json == {"tokenizer_config.json": {"tokenizer_class": "X"}}
    assert documents({"tokenizer_config.json": json.dumps(named)}, {}).template == "d"
    assert documents({**texts, "chat_template.jinja": "{{ file }}"}, {}).template == "{{ file }}"
    assert documents({"chat_template.json": '{"chat_template": "j"}'}, {}).template == "j"
    assert documents({"chat_template.json": '{"chat_template": 7}'}, {}).template is None
    head = {"tokenizer.chat_template": "{{ gguf }}", "general.architecture": "qwen3"}
    found = documents({}, {"x.gguf": head})
    assert found.template == "{{ gguf }}"
    assert found.gguf == {"x.gguf": {"general.architecture": "qwen3"}}


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ("apache-2.0", "apache-2.0"),
        ('"mit"', "mit"),
        ("other\nlicense_name: qwen-research\nlicense_link: x", "qwen-research"),
        ("\x1b[31mred", None),
        ("", None),
    ],
)
def test_the_licence_is_what_the_card_says(said: str, licence: str | None) -> None:
    assert documents({"README.md": README.format(said)}, {}).licence == licence


def test_the_licence_of_a_gguf_is_in_its_header() -> None:
    assert documents({}, {"x.gguf": {"general.license": "mit"}}).licence == "mit"
    assert documents({}, {"x.gguf": {"general.license": "\x1b[31m"}}).licence is None
    assert documents({"README.md": "license: mit"}, {}).licence is None


@pytest.mark.parametrize(
    "text", ["", "{", "nonsense", "[" * 10_000, '{"a":' * 60 + "1" + "}" * 60, "1" * 10_000]
)
def test_what_is_not_json_is_refused_by_its_path(text: str) -> None:
    with pytest.raises(Refusal, match=r"^config\.json is not JSON"):
        documents({"config.json": text}, {})


def test_what_is_no_number_or_cannot_be_written_becomes_text() -> None:
    found = documents({"config.json": '{"a": Infinity, "b": NaN, "c": "\\ud800", "d": 1e999}'}, {})
    assert found.config == {"a": "Infinity", "b": "NaN", "c": "?", "d": "inf"}
    json.dumps(found.to_json(), allow_nan=False).encode()


def test_a_pin_gives_back_what_was_read() -> None:
    read = documents(
        {"config.json": '{"a": [1, {"b": null}]}', "chat_template.jinja": "one\n two\r\nthree"},
        {"x.gguf": {"k": {"length": 3}, "f": 1.5}},
    )
    written = json.loads(json.dumps(read.to_json()))
    assert written["template"] == ["one\n", " two\r\n", "three"]
    assert Documents.from_json(written) == read
    assert Documents.from_json(Documents().to_json()) == Documents()
