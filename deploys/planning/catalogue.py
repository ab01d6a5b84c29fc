"""Every model we know, by the key that inventories use."""

from __future__ import annotations

import difflib
from dataclasses import asdict, replace
from typing import Any

from deploys.planning.model import Model
from deploys.planning.refusal import Refusal
from deploys.planning.shapes import (
    CODER_33B,
    LLAMA_8B,
    LLAMA_70B,
    QWEN_1_5B,
    QWEN_7B,
    QWEN_14B,
    QWEN_32B,
    QWEN_72B,
    R1,
    R1_FP8,
    V3,
    Network,
)


def model(key: str) -> Model:
    """The catalogue's entry; a Refusal names the closest keys."""
    if key not in CATALOGUE:
        close = difflib.get_close_matches(key, CATALOGUE, n=3, cutoff=0.4)
        raise Refusal(
            f"There is no model {key!r} in the catalogue"
            + (f", did you mean {' or '.join(close)}" if close else ""),
            "Add an entry to deploys/planning/catalogue.py, or give the service a Model instead",
        )
    return CATALOGUE[key]


# Weights, configuration, tokenizer, and the code that some repositories bring along. Some also hold
# the weights once more as *.bin.
_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py", "LICENSE*")


def _model(network: Network, *, key: str, quantization: str, **rest: Any) -> Model:
    shape = asdict(network)
    shape.pop("repository")
    return Model(
        key=key,
        title=f"{shape.pop('name')} {quantization}",
        quantization=quantization,
        **shape,
        **rest,
    )


def _original(network: Network, quantization: str, size: int, source: str) -> Model:
    """The vendor's own weights, under the same name on both hubs."""
    repository = network.repository
    variant = _safetensors(network, quantization, size, source, repository, repository)
    return replace(variant, key=network.name.lower())


def _safetensors(
    network: Network,
    quantization: str,
    size: int,
    source: str,
    huggingface: str,
    modelscope: str | None = None,
) -> Model:
    """A quantization with a repository of its own, as a rule on Hugging Face alone."""
    return _model(
        network,
        key=f"{network.name}-{quantization}".lower(),
        format="safetensors",
        quantization=quantization,
        modelscope=modelscope,
        huggingface=huggingface,
        files=_FILES,
        size=size,
        source=source,
    )


def _gguf(network: Network, quantization: str, size: int, source: str) -> Model:
    """A distilled model in one file of Unsloth's repository, which holds all quantizations."""
    repository = f"unsloth/{network.name}-GGUF"
    return _model(
        network,
        key=f"{network.name}-{quantization}".lower(),
        format="gguf",
        quantization=quantization,
        modelscope=repository,
        huggingface=repository,
        files=(f"{network.name}-{quantization}.gguf",),
        size=size,
        source=source,
    )


def _r1_gguf(quantization: str, size: int, source: str) -> Model:
    """DeepSeek-R1 in shards: the folder is part of the pattern, or R1-Zero would match too.

    The sizes are those of the files of January 2025, which llama.cpp's MLA cache came after.
    """
    folder = f"DeepSeek-R1-{quantization}"
    return replace(
        _gguf(R1, quantization, size, source),
        files=(f"{folder}/{folder}-*-of-*.gguf",),
        legacy_cache=True,
    )


_NOMINAL = "shape: config.json; size: parameters by width"
_Q4 = "shape: config.json; size: estimate, 4.85 bits a weight"
_AWQ = "shape: config.json; size: estimate, 4.25 bits a weight, embeddings and head in 16"
_DYNAMIC = "shape: config.json; size: Unsloth's table of dynamic quantizations, which counts in GiB"

_ALL = (
    _original(
        R1_FP8, "FP8", 688_600_000_000, "shape: config.json; size: index, with the MTP layer"
    ),
    _original(V3, "FP8", 688_600_000_000, "shape: config.json; size: as DeepSeek-R1"),
    _safetensors(
        R1,
        "AWQ",
        360_000_000_000,
        _AWQ,
        "cognitivecomputations/DeepSeek-R1-AWQ",
        "cognitivecomputations/DeepSeek-R1-awq",
    ),
    _r1_gguf(
        "Q4_K_M", 404_430_187_616, "shape: config.json; size: sum of a listing of nine shards"
    ),
    _r1_gguf("UD-IQ1_S", 140_200_000_000, _DYNAMIC),
    _r1_gguf("UD-IQ1_M", 169_700_000_000, _DYNAMIC),
    _r1_gguf("UD-IQ2_XXS", 196_500_000_000, _DYNAMIC),
    _r1_gguf("UD-Q2_K_XL", 227_600_000_000, _DYNAMIC),
    _original(QWEN_1_5B, "BF16", 3_600_000_000, _NOMINAL),
    _gguf(QWEN_1_5B, "Q4_K_M", 1_100_000_000, _Q4),
    _original(QWEN_7B, "BF16", 15_200_000_000, _NOMINAL),
    _gguf(QWEN_7B, "Q4_K_M", 4_700_000_000, _Q4),
    _original(LLAMA_8B, "BF16", 16_100_000_000, _NOMINAL),
    _gguf(LLAMA_8B, "Q4_K_M", 4_900_000_000, _Q4),
    _original(QWEN_14B, "BF16", 29_500_000_000, _NOMINAL),
    _gguf(QWEN_14B, "Q4_K_M", 9_000_000_000, _Q4),
    _safetensors(
        QWEN_14B, "AWQ", 10_100_000_000, _AWQ, "casperhansen/deepseek-r1-distill-qwen-14b-awq"
    ),
    _original(QWEN_32B, "BF16", 65_500_000_000, _NOMINAL),
    _gguf(QWEN_32B, "Q4_K_M", 19_900_000_000, _Q4),
    _safetensors(
        QWEN_32B,
        "FP8",
        33_500_000_000,
        _NOMINAL,
        "RedHatAI/DeepSeek-R1-Distill-Qwen-32B-FP8-dynamic",
    ),
    _safetensors(
        QWEN_32B, "AWQ", 19_300_000_000, _AWQ, "casperhansen/deepseek-r1-distill-qwen-32b-awq"
    ),
    _original(LLAMA_70B, "BF16", 141_100_000_000, _NOMINAL),
    _gguf(LLAMA_70B, "Q4_K_M", 42_500_000_000, _Q4),
    _safetensors(
        LLAMA_70B,
        "FP8",
        72_500_000_000,
        _NOMINAL,
        "RedHatAI/DeepSeek-R1-Distill-Llama-70B-FP8-dynamic",
    ),
    _safetensors(
        LLAMA_70B, "AWQ", 39_800_000_000, _AWQ, "casperhansen/deepseek-r1-distill-llama-70b-awq"
    ),
    _original(QWEN_72B, "BF16", 145_400_000_000, _NOMINAL),
    _safetensors(
        QWEN_72B,
        "AWQ",
        42_300_000_000,
        _AWQ,
        "Qwen/Qwen2.5-72B-Instruct-AWQ",
        "Qwen/Qwen2.5-72B-Instruct-AWQ",
    ),
    _original(CODER_33B, "BF16", 66_700_000_000, _NOMINAL),
)

CATALOGUE: dict[str, Model] = {entry.key: entry for entry in _ALL}
