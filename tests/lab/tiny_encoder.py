"""Two tiny but real encoders, made on the spot: one makes vectors of texts, the other ranks them.

BERT as llama.cpp reads it, of seeded noise, with the vocabulary of tiny_model.py. So which text
fits better is chance; that there is a score, and another one for another text, is not.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from tests.lab import gguf_file
from tests.lab.gguf_file import ARRAY, BOOL, F32, I32, STRING, U32, Key, Tensor
from tests.lab.tiny_model import CONTROL, FILE_TYPES, HEADS, MERGES, Array, TinyModel, tensor

# How the vectors of a text's tokens become one: their mean, or a score.
_POOLING = {"embed": 1, "rerank": 4}
_VARIANT = "F16"


@dataclass(frozen=True)
class TinyEncoder:
    """One of them; 200 KB."""

    task: Literal["embed", "rerank"]
    width: int = 64
    layers: int = 2
    # More than the 512 tokens that llama.cpp reads at once by itself.
    context: int = 1024

    def keys(self) -> list[Key]:
        """Its metadata."""
        tokens = TinyModel().tokens
        number = {token: index for index, token in enumerate(tokens)}
        kinds = [3 if token in CONTROL else 1 for token in tokens]
        return [
            Key("general.architecture", STRING, "bert"),
            Key("general.type", STRING, "model"),
            Key("general.name", STRING, f"tiny {self.task}"),
            Key("bert.block_count", U32, self.layers),
            Key("bert.context_length", U32, self.context),
            Key("bert.embedding_length", U32, self.width),
            Key("bert.feed_forward_length", U32, 2 * self.width),
            Key("bert.attention.head_count", U32, HEADS),
            Key("bert.attention.layer_norm_epsilon", F32, 1e-6),
            Key("bert.attention.causal", BOOL, False),
            Key("bert.pooling_type", U32, _POOLING[self.task]),
            Key("general.file_type", U32, FILE_TYPES[_VARIANT]),
            Key("tokenizer.ggml.model", STRING, "gpt2"),
            Key("tokenizer.ggml.pre", STRING, "qwen2"),
            Key("tokenizer.ggml.tokens", ARRAY, tokens, STRING),
            Key("tokenizer.ggml.token_type", ARRAY, kinds, I32),
            Key("tokenizer.ggml.token_type_count", U32, 1),
            Key("tokenizer.ggml.merges", ARRAY, MERGES, STRING),
            Key("tokenizer.ggml.eos_token_id", U32, number["<|im_end|>"]),
            Key("tokenizer.ggml.bos_token_id", U32, number["<|endoftext|>"]),
            Key("tokenizer.ggml.seperator_token_id", U32, number["<|im_end|>"]),
            Key("tokenizer.ggml.add_bos_token", BOOL, True),
            Key("tokenizer.ggml.add_eos_token", BOOL, True),
        ]

    def tensors(self) -> list[Tensor]:
        """All weights."""
        random, width = np.random.default_rng(1), self.width

        def noise(*shape: int) -> Array:
            return random.standard_normal(shape, dtype=np.float32) / width**0.5

        def norm(name: str) -> list[tuple[str, Array]]:
            return [(f"{name}.weight", np.ones(width, "f4")), (f"{name}.bias", noise(width))]

        def matrix(name: str, rows: int, columns: int) -> list[tuple[str, Array]]:
            return [(f"{name}.weight", noise(rows, columns)), (f"{name}.bias", noise(rows))]

        named = [
            ("token_embd.weight", noise(len(TinyModel().tokens), width)),
            ("token_types.weight", noise(1, width)[0]),
            ("position_embd.weight", noise(self.context, width)),
            *norm("token_embd_norm"),
        ]
        for layer in range(self.layers):
            block = [
                *(part for name in "qkv" for part in matrix(f"attn_{name}", width, width)),
                *matrix("attn_output", width, width),
                *norm("attn_output_norm"),
                *matrix("ffn_up", 2 * width, width),
                *matrix("ffn_down", width, 2 * width),
                *norm("layer_output_norm"),
            ]
            named += [(f"blk.{layer}.{name}", array) for name, array in block]
        if self.task == "rerank":
            named += [*matrix("cls", width, width), *matrix("cls.output", 1, width)]
        return [tensor(name, array, _VARIANT) for name, array in named]

    def write(self, path: Path) -> Path:
        """One whole GGUF file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        gguf_file.write(path, self.keys(), self.tensors())
        return path


def publish(root: Path) -> None:
    """Lay both out under a hub's root, as ``modelrack-lab/tiny-embed-gguf`` and so on."""
    for task in ("embed", "rerank"):
        folder = root / "modelrack-lab" / f"tiny-{task}-gguf"
        shutil.rmtree(folder, ignore_errors=True)
        TinyEncoder(task).write(folder / f"tiny-{task}-{_VARIANT}.gguf")
