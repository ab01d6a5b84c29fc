"""Every model we know, by the key that inventories use."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, replace
from typing import Any

from deploys.planning.model import Model
from deploys.planning.refusal import Refusal


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


@dataclass(frozen=True, kw_only=True)
class _Network:
    """What all variants of one network share; numbers as in its config.json.

    + repository: the vendor's own, which has this name on both hubs
    """

    name: str
    repository: str
    parameters: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    context: int
    licence: str
    head_dim: int = 128
    active_parameters: int | None = None
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    q_lora_rank: int | None = None
    vocabulary: int
    intermediate: int
    experts: int = 0
    experts_used: int = 0
    shared_experts: int = 0
    expert_intermediate: int = 0
    dense_layers: int = 0
    mtp_layers: int = 0


# Weights, configuration, tokenizer, and the code that some repositories bring along. Some also hold
# the weights once more as *.bin.
_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.py", "LICENSE*")

# For MLA, head_dim is that of the values and of the keys without their rotary part.
_R1 = _Network(
    name="DeepSeek-R1",
    repository="deepseek-ai/DeepSeek-R1",
    parameters=671_000_000_000,
    active_parameters=37_000_000_000,
    layers=61,
    hidden=7168,
    heads=128,
    kv_heads=128,
    kv_lora_rank=512,
    rope_head_dim=64,
    q_lora_rank=1536,
    vocabulary=129_280,
    intermediate=18_432,
    experts=256,
    experts_used=8,
    shared_experts=1,
    expert_intermediate=2048,
    dense_layers=3,
    context=163_840,
    licence="MIT",
)
# The vendor's own files hold the layer that predicts one token more; quantizations left it out.
_R1_FP8 = replace(_R1, mtp_layers=1)
_V3 = replace(
    _R1_FP8,
    name="DeepSeek-V3",
    repository="deepseek-ai/DeepSeek-V3",
    licence="DeepSeek Model License",
)


def _distill(
    name: str,
    parameters: int,
    shape: tuple[int, int, int, int],
    intermediate: int,
    vocabulary: int,
    licence: str,
) -> _Network:
    """shape: layers, hidden, heads, kv_heads."""
    layers, hidden, heads, kv_heads = shape
    return _Network(
        name=f"DeepSeek-R1-Distill-{name}",
        repository=f"deepseek-ai/DeepSeek-R1-Distill-{name}",
        parameters=parameters,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        intermediate=intermediate,
        vocabulary=vocabulary,
        context=131_072,
        licence=licence,
    )


_QWEN = "MIT; base Apache-2.0"
_QWEN_1_5B = _distill("Qwen-1.5B", 1_777_000_000, (28, 1536, 12, 2), 8960, 151_936, _QWEN)
_QWEN_7B = _distill("Qwen-7B", 7_616_000_000, (28, 3584, 28, 4), 18_944, 152_064, _QWEN)
_QWEN_14B = _distill("Qwen-14B", 14_770_000_000, (48, 5120, 40, 8), 13_824, 152_064, _QWEN)
_QWEN_32B = _distill("Qwen-32B", 32_760_000_000, (64, 5120, 40, 8), 27_648, 152_064, _QWEN)
_LLAMA_8B = _distill(
    "Llama-8B", 8_030_000_000, (32, 4096, 32, 8), 14_336, 128_256, "MIT; base Llama 3.1"
)
_LLAMA_70B = _distill(
    "Llama-70B", 70_550_000_000, (80, 8192, 64, 8), 28_672, 128_256, "MIT; base Llama 3.3"
)
_QWEN_72B = _Network(
    name="Qwen2.5-72B-Instruct",
    repository="Qwen/Qwen2.5-72B-Instruct",
    parameters=72_706_000_000,
    layers=80,
    hidden=8192,
    heads=64,
    kv_heads=8,
    intermediate=29_568,
    vocabulary=152_064,
    context=32_768,
    licence="Qwen License",
)
_CODER_33B = _Network(
    name="deepseek-coder-33b-instruct",
    repository="deepseek-ai/deepseek-coder-33b-instruct",
    parameters=33_340_000_000,
    layers=62,
    hidden=7168,
    heads=56,
    kv_heads=8,
    intermediate=19_200,
    vocabulary=32_256,
    context=16_384,
    licence="DeepSeek Model License",
)


def _model(network: _Network, *, key: str, quantization: str, **rest: Any) -> Model:
    shape = asdict(network)
    shape.pop("repository")
    return Model(
        key=key,
        title=f"{shape.pop('name')} {quantization}",
        quantization=quantization,
        **shape,
        **rest,
    )


def _original(network: _Network, quantization: str, size: int, source: str) -> Model:
    """The vendor's own weights, under the same name on both hubs."""
    repository = network.repository
    variant = _safetensors(network, quantization, size, source, repository, repository)
    return replace(variant, key=network.name.lower())


def _safetensors(
    network: _Network,
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


def _gguf(network: _Network, quantization: str, size: int, source: str) -> Model:
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
    """DeepSeek-R1 in shards: the folder is part of the pattern, or R1-Zero would match too."""
    folder = f"DeepSeek-R1-{quantization}"
    return replace(
        _gguf(_R1, quantization, size, source), files=(f"{folder}/{folder}-*-of-*.gguf",)
    )


_NOMINAL = "shape: config.json; size: parameters by width"
_Q4 = "shape: config.json; size: estimate, 4.85 bits a weight"
_AWQ = "shape: config.json; size: estimate, 4.25 bits a weight, embeddings and head in 16"
_DYNAMIC = "shape: config.json; size: Unsloth's table of dynamic quantizations, which counts in GiB"

_ALL = (
    _original(
        _R1_FP8, "FP8", 688_600_000_000, "shape: config.json; size: index, with the MTP layer"
    ),
    _original(_V3, "FP8", 688_600_000_000, "shape: config.json; size: as DeepSeek-R1"),
    _safetensors(
        _R1,
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
    _original(_QWEN_1_5B, "BF16", 3_600_000_000, _NOMINAL),
    _gguf(_QWEN_1_5B, "Q4_K_M", 1_100_000_000, _Q4),
    _original(_QWEN_7B, "BF16", 15_200_000_000, _NOMINAL),
    _gguf(_QWEN_7B, "Q4_K_M", 4_700_000_000, _Q4),
    _original(_LLAMA_8B, "BF16", 16_100_000_000, _NOMINAL),
    _gguf(_LLAMA_8B, "Q4_K_M", 4_900_000_000, _Q4),
    _original(_QWEN_14B, "BF16", 29_500_000_000, _NOMINAL),
    _gguf(_QWEN_14B, "Q4_K_M", 9_000_000_000, _Q4),
    _safetensors(
        _QWEN_14B, "AWQ", 9_300_000_000, _AWQ, "casperhansen/deepseek-r1-distill-qwen-14b-awq"
    ),
    _original(_QWEN_32B, "BF16", 65_500_000_000, _NOMINAL),
    _gguf(_QWEN_32B, "Q4_K_M", 19_900_000_000, _Q4),
    _safetensors(
        _QWEN_32B,
        "FP8",
        33_500_000_000,
        _NOMINAL,
        "RedHatAI/DeepSeek-R1-Distill-Qwen-32B-FP8-dynamic",
    ),
    _safetensors(
        _QWEN_32B, "AWQ", 19_300_000_000, _AWQ, "casperhansen/deepseek-r1-distill-qwen-32b-awq"
    ),
    _original(_LLAMA_70B, "BF16", 141_100_000_000, _NOMINAL),
    _gguf(_LLAMA_70B, "Q4_K_M", 42_500_000_000, _Q4),
    _safetensors(
        _LLAMA_70B,
        "FP8",
        72_500_000_000,
        _NOMINAL,
        "RedHatAI/DeepSeek-R1-Distill-Llama-70B-FP8-dynamic",
    ),
    _safetensors(
        _LLAMA_70B, "AWQ", 39_800_000_000, _AWQ, "casperhansen/deepseek-r1-distill-llama-70b-awq"
    ),
    _original(_QWEN_72B, "BF16", 145_400_000_000, _NOMINAL),
    _safetensors(
        _QWEN_72B,
        "AWQ",
        42_300_000_000,
        _AWQ,
        "Qwen/Qwen2.5-72B-Instruct-AWQ",
        "Qwen/Qwen2.5-72B-Instruct-AWQ",
    ),
    _original(_CODER_33B, "BF16", 66_700_000_000, _NOMINAL),
)

CATALOGUE: dict[str, Model] = {entry.key: entry for entry in _ALL}
