"""A network as the hubs have it: safetensors in parts, a configuration, a tokenizer that chats.

Every tensor of the real one is there in its real type and size, out of random bytes, one block of
them repeated. They are so small that what the layers add to a token is lost beside its embedding.
So the chain of tests/lab/tiny_model.py, in the embedding and the head, makes the answer: whoever
hears it knows that both are in place, and that the layers between them did no harm.
"""

from __future__ import annotations

import json
import random
import struct
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.gpu import synthetic
from tests.gpu.networks import Network
from tests.gpu.tensors import EMBEDDING, HEAD, Tensor, tensors
from tests.lab import tiny_folder
from tests.lab.tiny_model import CONTROL, Array, TinyModel

PART = 4 << 30
# What the parsers of such networks look for.
_MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
# As in synthetic.py: bytes of a number, of which bits are kept random, and which are set.
_SANE = {
    "F8_E4M3": (1, {0: (0xBF, 0x00)}),
    "F16": (2, {1: (0x83, 0x08)}),
    "BF16": (2, {1: (0x80, 0x3A)}),
    "F32": (4, {2: (0x7F, 0x00), 3: (0x00, 0x3A)}),
    "I32": (4, {}),
}


def write(network: Network, folder: Path) -> int:
    """Write all of it, unless it is there; returns the bytes of the tensors."""
    config = network.config
    named = tensors(config)
    if not (folder / "config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        chat = TinyModel(width=config["hidden_size"], context=config["max_position_embeddings"])
        _weights(named, chat, folder)
        words = [*chat.tokens, *_MARKS]
        words += [f"<|{number}|>" for number in range(len(words), config["vocab_size"])]
        for name, content in tiny_folder.tokenizer(chat, words, (*CONTROL, *_MARKS)).items():
            (folder / name).write_bytes(content)
        (folder / "config.json").write_text(json.dumps(_with_ends(config, words), indent=2))
        print(f"{folder.name}: written in {time.monotonic() - begun:.1f} s", flush=True)
    return sum(each.size for each in named)


def _with_ends(config: Mapping[str, Any], words: list[str]) -> dict[str, Any]:
    ends = {"bos_token_id": "<|endoftext|>", "eos_token_id": "<|im_end|>"}
    return {**config, **{name: words.index(word) for name, word in ends.items()}}


@dataclass
class _Part:
    """One file: its tensors and where each begins, counted from the end of the header."""

    tensors: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    size: int = 0

    def add(self, tensor: Tensor) -> None:
        self.tensors[tensor.name] = tensor, self.size
        self.size += tensor.size

    def head(self) -> bytes:
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        for name, (tensor, begin) in self.tensors.items():
            offsets = [begin, begin + tensor.size]
            shape = list(tensor.shape)
            header[name] = {"dtype": tensor.dtype, "shape": shape, "data_offsets": offsets}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text


def _weights(named: list[Tensor], chat: TinyModel, folder: Path) -> None:
    """The parts and their index, each of about PART bytes."""
    parts = [_Part()]
    for tensor in named:
        if parts[-1].size and parts[-1].size + tensor.size > PART:
            parts.append(_Part())
        parts[-1].add(tensor)
    blocks, chained = {}, _chained(chat)
    for tensor in named:
        if (kind := _kind(tensor)) not in blocks:
            blocks[kind] = memoryview(_block(tensor, chained))
    where = {}
    # Writing leaves the interpreter's lock to others, and one core does not keep up with RAM.
    with ThreadPoolExecutor() as pool:
        tasks = []
        for number, part in enumerate(parts, 1):
            name = f"model-{number:05d}-of-{len(parts):05d}.safetensors"
            where |= dict.fromkeys(part.tensors, name)
            tasks.append(pool.submit(_write, part, folder / name, blocks, chained))
    for task in tasks:
        task.result()
    index = {"metadata": {"total_size": sum(part.size for part in parts)}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _write(
    part: _Part, path: Path, blocks: Mapping[str, memoryview], chained: Mapping[str, _Chained]
) -> None:
    head = part.head()
    with path.open("wb", buffering=0) as file:
        file.truncate(len(head) + part.size)
        number = file.fileno()
        synthetic.repeat(number, memoryview(head), 0, len(head))
        for tensor, begin in part.tensors.values():
            offset = len(head) + begin
            synthetic.repeat(number, blocks[_kind(tensor)], offset, tensor.size)
            rows = chained[tensor.name].rows if tensor.name in chained else {}
            for row, content in rows.items():
                data = _bfloat16(content)
                synthetic.repeat(number, memoryview(data), offset + row * len(data), len(data))


def _kind(tensor: Tensor) -> str:
    """Tensors of one kind have the same bytes."""
    if tensor.name in (EMBEDDING, HEAD):
        return tensor.name
    return "norm" if tensor.name.endswith("norm.weight") else tensor.dtype


def _block(tensor: Tensor, chained: Mapping[str, _Chained]) -> bytes:
    """About synthetic.BLOCK bytes for all tensors of its kind."""
    if tensor.name in chained:
        return _bfloat16(chained[tensor.name].others)
    if _kind(tensor) == "norm":
        return _bfloat16(np.ones(synthetic.BLOCK // 2, "f4"))
    width, bits = _SANE[tensor.dtype]
    data = bytearray(random.Random(tensor.dtype).randbytes(synthetic.BLOCK))
    for offset, (kept, set_) in bits.items():
        table = bytes(byte & kept | set_ for byte in range(256))
        data[offset::width] = data[offset::width].translate(table)
    return bytes(data)


@dataclass(frozen=True)
class _Chained:
    """One of the outer matrices: rows by token, and those of all others, repeated."""

    rows: dict[int, Array]
    others: Array


def _chained(chat: TinyModel) -> dict[str, _Chained]:
    """Embedding and head that make the answer, whatever the width.

    Dimension 0 says: not a word of it. It weighs as much as all others together, so that a word of
    the answer is as sure of its follower as everything else is of the first word.
    """
    numbers = np.random.default_rng(chat.seed)
    strong = chat.width**0.5
    count = max(1, synthetic.BLOCK // 2 // chat.width)
    embedding = numbers.standard_normal((count, chat.width), dtype=np.float32)
    head = 0.02 * numbers.standard_normal((count, chat.width), dtype=np.float32)
    embedding[:, 0], head[:, 0] = strong, 0
    end = chat.tokens.index("<|im_end|>")
    first = len(chat.tokens) - len(CONTROL) - len(chat.words)
    chain = range(first, first + len(chat.words))
    words = numbers.standard_normal((len(chain), chat.width), dtype=np.float32)
    words[:, 0] = -strong
    begins = np.zeros(chat.width, "f4")
    begins[0] = strong
    followers = {first: begins}
    for word, following in zip(words, [*chain[1:], end], strict=True):
        followers[following] = word * (np.arange(chat.width) > 0)
    return {
        EMBEDDING: _Chained(dict(zip(chain, words, strict=True)), embedding),
        HEAD: _Chained(followers, head),
    }


def _bfloat16(numbers: Array) -> bytes:
    wide = np.ascontiguousarray(numbers, dtype=np.float32).view(np.uint32)
    return ((wide + 0x8000) >> 16).astype(np.uint16).tobytes()
