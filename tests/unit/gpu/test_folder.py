"""Models of random bytes in safetensors: whole, in the shapes of real ones, and able to chat."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from deploys.planning.models.parameters import parameter_count
from deploys.remote.formats import safetensors
from tests.gpu import folder, tensors
from tests.gpu.entry import made_up
from tests.gpu.networks import DEPLOYED, NETWORKS
from tests.gpu.tensors import EMBEDDING, HEAD
from tests.lab.tiny_model import ANSWER

TINY = ("qwen3-tiny", "qwen2.5-tiny-awq")
EVERY = pytest.mark.parametrize("name", DEPLOYED)
# Bytes that a weight takes: 4 bits and their share of a scale and a zero, or 8 and of a scale.
WIDTHS = {"AWQ": (4 + 20 / 128) / 8, "FP8": 1 + 4 / 128**2, "BF16": 2.0}


@EVERY
def test_its_files_are_as_large_as_its_weights(name: str) -> None:
    model, config = made_up(name, 1), DEPLOYED[name].config
    outer = 2 * config["vocab_size"] * config["hidden_size"]
    inner = parameter_count(model.network) - outer
    expected = 2 * outer + WIDTHS[model.quantization] * inner
    # Norms, biases and routers are wider, and few.
    assert expected < tensors.size(config) < 1.02 * expected


def test_the_published_files_are_as_large() -> None:
    name = "deepseek-r1-distill-qwen-32b-awq"
    assert tensors.size(DEPLOYED[name].config) == pytest.approx(DEPLOYED[name].model.size, rel=0.01)
    whole = NETWORKS["deepseek-r1-20-layers-awq"]
    assert tensors.size(whole.config) == whole.model.size


@pytest.mark.parametrize("name", TINY)
def test_parts_hold_every_tensor_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "PART", 4 << 20)
    assert folder.write(DEPLOYED[name], tmp_path) == tensors.size(DEPLOYED[name].config)
    parts = {path.name: safetensors.read(path) for path in tmp_path.glob("*.safetensors")}
    assert len(parts) > 1
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    found = {
        tensor: (part, header.tensors[tensor].dtype, header.tensors[tensor].shape)
        for part, header in parts.items()
        for tensor in header.tensors
    }
    assert found == {
        each.name: (index[each.name], each.dtype, each.shape)
        for each in tensors.tensors(DEPLOYED[name].config)
    }
    # What is there is not written again.
    before = (tmp_path / "config.json").stat().st_mtime_ns
    folder.write(DEPLOYED[name], tmp_path)
    assert (tmp_path / "config.json").stat().st_mtime_ns == before


def test_no_number_of_any_type_is_large(tmp_path: Path) -> None:
    folder.write(DEPLOYED["qwen2.5-tiny-awq"], tmp_path)
    scales = _numbers(tmp_path, "model.layers.0.mlp.up_proj.scales", np.float16)
    assert 0 < np.abs(scales).max() < 1e-3
    bias = _numbers(tmp_path, "model.layers.0.self_attn.q_proj.bias", np.uint16)
    assert np.abs(_wide(bias)).max() < 1e-2


@pytest.mark.parametrize("name", TINY)
def test_embedding_and_head_hold_the_answer(name: str, tmp_path: Path) -> None:
    """By the two outer matrices alone: what the layers add between them is small."""
    folder.write(DEPLOYED[name], tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    shape = config["vocab_size"], config["hidden_size"]
    embedding, head = (
        _wide(_numbers(tmp_path, tensor, np.uint16)).reshape(shape) for tensor in (EMBEDDING, HEAD)
    )
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == config["vocab_size"]
    for question in ("Hello", "Count from one to one hundred, in words.<|im_end|>"):
        (token,) = tokenizer.encode(question).ids[-1:]
        said: list[int] = []
        while (token := int(np.argmax(head @ embedding[token]))) != config["eos_token_id"]:
            said.append(token)
            assert len(said) < 20
        assert tokenizer.decode(said) == ANSWER


@pytest.mark.parametrize("word", ["<think>", "</think>", "<tool_call>", "</tool_call>"])
def test_a_parser_finds_its_words(word: str, tmp_path: Path) -> None:
    folder.write(DEPLOYED["qwen3-tiny"], tmp_path)
    assert len(Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(word).ids) == 1


def _numbers(model: Path, name: str, kind: type) -> np.ndarray:
    index = json.loads((model / "model.safetensors.index.json").read_text())["weight_map"]
    header = safetensors.read(model / index[name])
    begin = header.data_offset + header.tensors[name].begin
    size = header.tensors[name].end - header.tensors[name].begin
    return np.frombuffer((model / index[name]).read_bytes()[begin : begin + size], dtype=kind)


def _wide(narrow: np.ndarray) -> np.ndarray:
    return (narrow.astype(np.uint32) << 16).view(np.float32)
