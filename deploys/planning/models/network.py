"""The parts of a network: their parameters and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from deploys.planning.models.model import Model
from deploys.planning.models.parameters import (
    attention,
    embeddings,
    has_experts,
    layer_embeddings,
    routed,
    router,
    shared_width,
    without_experts,
)

# llama-quantize gives the two outer matrices more bits than the average of a small quantization:
# Q4_K for the token embedding, Q6_K for the output head. Source: ggml-quants, 144 and 210 bytes for
# 256 weights; llama-quant.cpp, llama_tensor_get_type.
_GGUF_EMBEDDING_BITS = 4.5
_GGUF_HEAD_BITS = 6.5625
# It leaves the matrix that chooses among experts in F32. Source: llama-quant.cpp, ffn_gate_inp.
_GGUF_ROUTER_BITS = 32
# Unsloth's dynamic quantizations keep all but the routed experts at 4 to 6 bits; the middle of it.
# Source: their description of the DeepSeek-R1 files, January 2025; not confirmed on the files.
_DYNAMIC_REST_BITS = 5.0
# MXFP4 of gpt-oss and INT4 of Kimi-K2 are of the routed experts alone; the rest is BF16, or Q8_0 in
# GGUF. Source: modules_to_not_convert in their config.json; multiplied out, this gives the sizes of
# their files.
_EXPERTS_ALONE = ("MXFP4", "INT4")
_REST_BITS = {"safetensors": 16.0, "gguf": 8.5}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Bytes of the weights.

    + embedding, head: token embedding, and output head; 0 for the latter if they are tied
    + layers: each layer from the first on, those of multi-token prediction last
    + experts, shared, attention: shares in each layer, in bytes: of the routed experts, of those
      that every token passes through, and of attention
    """

    embedding: int
    head: int
    layers: tuple[int, ...]
    experts: tuple[int, ...]
    shared: tuple[int, ...]
    attention: tuple[int, ...]

    @property
    def total(self) -> int:
        return self.embedding + self.head + sum(self.layers)


@lru_cache(maxsize=256)
def parts(model: Model, size: int) -> Parts:
    """Distribute `size` bytes of files over the parts, by their parameters and usual bit widths."""
    network = model.network
    matrix = embeddings(network)
    average = size * 8 / network.parameters
    embedding_bits = head_bits = max(average, 16.0)
    rest_bits = _rest_bits(model)
    if model.format == "gguf" and model.quantization in _EXPERTS_ALONE:
        embedding_bits = head_bits = _REST_BITS["gguf"]
    elif model.format == "gguf":
        embedding_bits = average if average >= 8 else _GGUF_EMBEDDING_BITS
        head_bits = average if average >= 8 else _GGUF_HEAD_BITS
    embedding = int((matrix + layer_embeddings(network)) * embedding_bits / 8)
    head = 0 if network.tied_embeddings else int(matrix * head_bits / 8)
    count = network.layers + network.mtp_layers
    rest = [without_experts(network, layer) for layer in range(count)]
    experts_of = [routed(network, layer) for layer in range(count)]
    routers = [router(network, layer) for layer in range(count)]
    router_width = (_GGUF_ROUTER_BITS if model.format == "gguf" else average) / 8
    inner = size - embedding - head - sum(routers) * router_width
    width = inner / max(1, sum(rest) + sum(experts_of))
    rest_width = width if rest_bits is None else rest_bits / 8
    routed_width = (inner - sum(rest) * rest_width) / max(1, sum(experts_of))
    experts = [int(weights * routed_width) for weights in experts_of]
    layers = [
        int(weights * rest_width + chooser * router_width) + own
        for weights, chooser, own in zip(rest, routers, experts, strict=True)
    ]
    return Parts(
        embedding=embedding,
        head=head,
        layers=tuple(layers),
        experts=tuple(experts),
        shared=tuple(
            int(3 * network.hidden * shared_width(network) * rest_width)
            if network.intermediate and has_experts(network, layer)
            else 0
            for layer in range(count)
        ),
        attention=tuple(
            int(attention(network, layer) * rest_width) if network.intermediate else 0
            for layer in range(count)
        ),
    )


def _rest_bits(model: Model) -> float | None:
    """Return the bits per weight outside the routed experts, or None if they do not differ."""
    if model.quantization in _EXPERTS_ALONE:
        return _REST_BITS[model.format]
    dynamic = model.quantization.startswith("UD-") and model.network.experts
    return _DYNAMIC_REST_BITS if dynamic else None
