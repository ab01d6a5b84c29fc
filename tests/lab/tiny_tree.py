"""A folder as vLLM and SGLang take it: shards of safetensors, their index, a configuration.

The tensors have the names, types and shapes that each kind of quantization has, and random content;
nothing answers from them. Written by hand, so that nothing is taken from the code under test.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

WIDTH, LAYERS, GROUP, BLOCK = 256, 2, 128, 128
BITS = {"BF16": 16, "F16": 16, "F32": 32, "I32": 32, "F8_E4M3": 8, "U8": 8, "I8": 8, "F8_E8M0": 8}
Shapes = dict[str, tuple[str, tuple[int, ...]]]

# What config.json says of each kind; None where nothing is quantized.
QUANTIZATIONS: dict[str, dict[str, Any] | None] = {
    "BF16": None,
    "AWQ": {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True},
    "GPTQ": {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False},
    "FP8": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [BLOCK, BLOCK]},
    "W4A16": {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": GROUP}}},
    },
    "NVFP4": {"quant_method": "modelopt", "quant_algo": "NVFP4"},
    "MXFP4": {"quant_method": "mxfp4"},
}


def linear(name: str, kind: str, rows: int = WIDTH, columns: int = 2 * WIDTH) -> Shapes:
    """The tensors of one matrix with `rows` outputs and `columns` inputs."""
    groups = columns // GROUP
    if kind == "AWQ":
        return {
            f"{name}.qweight": ("I32", (columns, rows // 8)),
            f"{name}.qzeros": ("I32", (groups, rows // 8)),
            f"{name}.scales": ("F16", (groups, rows)),
        }
    if kind == "GPTQ":
        return {
            f"{name}.qweight": ("I32", (columns // 8, rows)),
            f"{name}.qzeros": ("I32", (groups, rows // 8)),
            f"{name}.scales": ("F16", (groups, rows)),
            f"{name}.g_idx": ("I32", (columns,)),
        }
    if kind == "FP8":
        return {
            f"{name}.weight": ("F8_E4M3", (rows, columns)),
            f"{name}.weight_scale_inv": ("F32", (-(-rows // BLOCK), -(-columns // BLOCK))),
        }
    if kind == "W4A16":
        return {
            f"{name}.weight_packed": ("I32", (rows, columns // 8)),
            f"{name}.weight_scale": ("BF16", (rows, groups)),
            f"{name}.weight_shape": ("I32", (2,)),
        }
    if kind == "NVFP4":
        return {
            f"{name}.weight": ("U8", (rows, columns // 2)),
            f"{name}.weight_scale": ("F8_E4M3", (rows, columns // 16)),
            f"{name}.weight_scale_2": ("F32", ()),
        }
    if kind == "MXFP4":
        return {
            f"{name}_blocks": ("U8", (rows, columns // 32, 16)),
            f"{name}_scales": ("U8", (rows, columns // 32)),
        }
    return {f"{name}.weight": (kind, (rows, columns))}


def shapes(kind: str) -> Shapes:
    """All tensors of the model, with those that stay as they were."""
    found: Shapes = {"model.embed_tokens.weight": ("BF16", (300, WIDTH))}
    for layer in range(LAYERS):
        for matrix in ("self_attn.q_proj", "mlp.down_proj"):
            found |= linear(f"model.layers.{layer}.{matrix}", kind)
        found[f"model.layers.{layer}.input_layernorm.weight"] = ("F32", (WIDTH,))
    return found


def safetensors(tensors: Shapes, seed: int = 1) -> bytes:
    """One file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = prod(shape) * BITS[dtype] // 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + random.Random(seed).randbytes(end)


def files(kind: str = "AWQ", shards: int = 2) -> dict[str, bytes]:
    """The files of a repository by path."""
    tensors = shapes(kind)
    names = sorted(tensors)
    found: dict[str, bytes] = {}
    index: dict[str, Any] = {"metadata": {"total_size": 0}, "weight_map": {}}
    for number in range(shards):
        path = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = {name: tensors[name] for name in names[number::shards]}
        found[path] = safetensors(part, number)
        index["weight_map"] |= dict.fromkeys(part, path)
        index["metadata"]["total_size"] += sum(
            prod(shape) * BITS[dtype] // 8 for dtype, shape in part.values()
        )
    config: dict[str, Any] = {"architectures": ["Qwen2ForCausalLM"], "hidden_size": WIDTH}
    if said := QUANTIZATIONS[kind]:
        config["quantization_config"] = said
    if shards > 1:
        found["model.safetensors.index.json"] = json.dumps(index, indent=1).encode()
    return found | {
        "config.json": json.dumps(config, indent=1).encode(),
        "tokenizer.json": b'{"version": "1.0"}\n',
        "README.md": b"# A tree of random weights\n",
    }


def write(folder: Path, content: Mapping[str, bytes]) -> None:
    """Lay files out below a folder."""
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def publish(root: Path, kind: str = "AWQ") -> str:
    """Lay the repository out under a hub's root; returns its id."""
    name = f"modelrack-lab/tiny-{kind.lower()}"
    write(root / name, files(kind))
    return name
