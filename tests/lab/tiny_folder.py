"""The tiny model once more, as vLLM and SGLang read it: safetensors, a configuration, a tokenizer.

Its matrices are those of the GGUF, in bfloat16, so both kinds of server give the same answer.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

from tests.lab.tiny_model import CONTROL, HEADS, KV_HEADS, MERGES, TEMPLATE, TinyModel

# vLLM's attention on a CPU begins with heads of 32 numbers.
WIDTH = 32 * HEADS
_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    **{f"attn_{name}": f"self_attn.{name}_proj" for name in "qkv"},
    "attn_output": "self_attn.o_proj",
    **{f"ffn_{name}": f"mlp.{name}_proj" for name in ("gate", "up", "down")},
}


def files(model: TinyModel) -> dict[str, bytes]:
    """The files of the repository by path."""
    number = {token: index for index, token in enumerate(model.tokens)}
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": model.width,
        "intermediate_size": 2 * model.width,
        "num_hidden_layers": model.layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": len(model.tokens),
        "max_position_embeddings": model.context,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": number["<|endoftext|>"],
        "eos_token_id": number["<|im_end|>"],
    }
    return {
        "config.json": _json(config),
        **tokenizer(model, model.tokens, CONTROL),
        "model.safetensors": _safetensors(model),
        "README.md": b"# Noise that answers\n",
    }


def tokenizer(model: TinyModel, tokens: Sequence[str], control: Sequence[str]) -> dict[str, bytes]:
    """The tokenizer's files by path.

    + tokens: its vocabulary, the model's own and what follows them; control: special ones among it
    """
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = [tuple(pair.split(" ")) for pair in MERGES]
    made = Tokenizer(BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True) for token in control])
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "chat_template": TEMPLATE,
        "model_max_length": model.context,
    }
    generation = {"eos_token_id": vocabulary["<|im_end|>"], "do_sample": False}
    return {
        "generation_config.json": _json(generation),
        "tokenizer_config.json": _json(settings),
        "tokenizer.json": made.to_str(pretty=True).encode(),
    }


def publish(root: Path, model: TinyModel | None = None) -> str:
    """Lay the model out under a hub's root; returns its id."""
    folder = root / "modelrack-lab" / "tiny-qwen2"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, content in files(model or TinyModel(width=WIDTH)).items():
        (folder / path).write_bytes(content)
    return f"modelrack-lab/{folder.name}"


def _safetensors(model: TinyModel) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for tensor in model.tensors("F32"):
        shape = tuple(reversed(tensor.shape))
        wide = np.frombuffer(tensor.data, dtype=np.uint32)
        # The upper half of a float32 is a bfloat16; half of the lower one rounds it.
        narrow = ((wide + 0x8000) >> 16).astype(np.uint16).tobytes()
        header[_name(tensor.name)] = {
            "dtype": "BF16",
            "shape": list(shape),
            "data_offsets": [len(content), len(content) + len(narrow)],
        }
        content += narrow
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content


def _name(gguf: str) -> str:
    """`blk.0.attn_q.weight` is `model.layers.0.self_attn.q_proj.weight`."""
    *block, part, kind = gguf.split(".")
    layer = f"model.layers.{block[1]}." if block else ""
    return f"{layer}{_NAMES[part]}.{kind}"


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
