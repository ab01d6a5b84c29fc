"""The parts of a network: their parameters and bytes, and the cache that a token takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from deploys.planning.inputs.profile import KvCache
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network

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

# Bytes of one number in the cache. q8_0 keeps 32 numbers in 34 bytes (ggml-common.h, block_q8_0).
_KV_WIDTH = {"auto": 2.0, "fp8": 1.0, "q8_0": 34 / 32}
# Bytes of a sparse MLA layer's entry in vLLM's fp8_ds_mla layout: 512 of fp8, 16 of scales, 128 of
# rotary keys. Source: vLLM 0.33, flashmla_sparse.py.
_FP8_DS_MLA = 656
# Bytes of one number in the state of linear attention, and tokens before this one that its
# convolution needs. Source: mamba_ssm_dtype in Qwen3.6's config.json, llama.cpp's default; both
# engines' state shapes.
_STATE_WIDTH = 4
_CONVOLUTION = 3


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
    matrix = (network.vocabulary or 0) * network.hidden
    average = size * 8 / network.parameters
    embedding_bits = head_bits = max(average, 16.0)
    rest_bits = _rest_bits(model)
    if model.format == "gguf" and model.quantization in _EXPERTS_ALONE:
        embedding_bits = head_bits = _REST_BITS["gguf"]
    elif model.format == "gguf":
        embedding_bits = average if average >= 8 else _GGUF_EMBEDDING_BITS
        head_bits = average if average >= 8 else _GGUF_HEAD_BITS
    embedding = int(matrix * embedding_bits / 8)
    head = 0 if network.tied_embeddings else int(matrix * head_bits / 8)
    count = network.layers + network.mtp_layers
    rest = [_without_experts(network, layer) for layer in range(count)]
    routed = [_routed(network, layer) for layer in range(count)]
    routers = [_router(network, layer) for layer in range(count)]
    router_width = (_GGUF_ROUTER_BITS if model.format == "gguf" else average) / 8
    inner = size - embedding - head - sum(routers) * router_width
    width = inner / max(1, sum(rest) + sum(routed))
    rest_width = width if rest_bits is None else rest_bits / 8
    routed_width = (inner - sum(rest) * rest_width) / max(1, sum(routed))
    experts = [int(weights * routed_width) for weights in routed]
    layers = [
        int(weights * rest_width + router * router_width) + own
        for weights, router, own in zip(rest, routers, experts, strict=True)
    ]
    return Parts(
        embedding=embedding,
        head=head,
        layers=tuple(layers),
        experts=tuple(experts),
        shared=tuple(
            int(3 * network.hidden * _shared(network) * rest_width)
            if network.intermediate and _has_experts(network, layer)
            else 0
            for layer in range(count)
        ),
        attention=tuple(
            int(_attention_of(network, layer) * rest_width) if network.intermediate else 0
            for layer in range(count)
        ),
    )


def parameter_count(network: Network) -> int:
    """Return the parameter count, from the shape, without multi-token prediction and norms."""
    matrices = (network.vocabulary or 0) * network.hidden * (1 if network.tied_embeddings else 2)
    layers = range(network.layers)
    return matrices + sum(
        _without_experts(network, n) + _router(network, n) + _routed(network, n) for n in layers
    )


def latent_weights(network: Network) -> int:
    """Return the parameters of an MLA layer that every card holds in full: the down projections.

    Source: vLLM and SGLang, deepseek_v2.py, ReplicatedLinear of q_a_proj and kv_a_proj_with_mqa.
    """
    if network.kv_lora_rank is None:
        return 0
    latent = network.kv_lora_rank + (network.rope_head_dim or 0)
    return network.hidden * ((network.q_lora_rank or 0) + latent)


def caches_every_token(network: Network, layer: int) -> bool:
    """Return whether the layer caches every token; those of multi-token prediction do."""
    return layer >= network.layers or (layer + 1) % network.full_attention_interval == 0


def count_caching_layers(network: Network, layers: Sequence[int] | None = None) -> int:
    """Return how many of `layers`, by default all but those of MTP, cache every token."""
    if network.full_attention_interval == 1:
        return network.layers if layers is None else len(layers)
    return sum(caches_every_token(network, layer) for layer in layers or range(network.layers))


def kv_bytes(model: Model, kv_cache: KvCache = "auto", *, tensor_parallel: int = 1) -> int:
    """Return the bytes per token in the cache of one card, in one layer that caches every token.

    Keys and values of the heads, which tensor parallelism splits until a card has one; or with MLA
    the latent vector and the rotary key, which every card holds in full. For files converted before
    llama.cpp could cache that vector (`legacy_cache`) it is the keys and values of all heads.
    Sparse MLA also caches the indexer's keys: one byte per number, and four for their scale (vLLM
    0.33).
    """
    network = model.network
    width = _KV_WIDTH[kv_cache]
    if network.kv_lora_rank is None:
        heads = network.kv_heads / min(tensor_parallel, network.kv_heads)
        return int(2 * heads * network.head_dim * width)
    rope = network.rope_head_dim or 0
    if model.legacy_cache:
        keys = (network.nope_head_dim or network.head_dim) + rope
        values = network.v_head_dim or network.head_dim
        return int(network.heads * (keys + values) * width)
    if network.index_head_dim is not None:
        entry = _FP8_DS_MLA if kv_cache == "fp8" else (network.kv_lora_rank + rope) * width
        return int(entry + network.index_head_dim + 4)
    return int((network.kv_lora_rank + rope) * width)


def request_bytes(
    model: Model,
    kv_cache: KvCache = "auto",
    *,
    tensor_parallel: int = 1,
    window: int | None = None,
) -> int:
    """Return the bytes per request on one card, in a layer that does not cache every token.

    The keys and values of a window, or a state for each value head: a square matrix, and the inputs
    of the convolution before it. Tensor parallelism splits the heads.

    + window: tokens that the engine keeps of a sliding window, if that is more
    """
    network = model.network
    if network.sliding_window is not None:
        tokens = window or network.sliding_window
        return tokens * kv_bytes(model, kv_cache, tensor_parallel=tensor_parallel)
    width = network.linear_head_dim
    inputs = (2 * network.linear_key_heads + network.linear_value_heads) * width * _CONVOLUTION
    state = network.linear_value_heads * width * width + inputs
    return state * _STATE_WIDTH // tensor_parallel


def _rest_bits(model: Model) -> float | None:
    """Return the bits per weight outside the routed experts, or None if they do not differ."""
    if model.quantization in _EXPERTS_ALONE:
        return _REST_BITS[model.format]
    return _DYNAMIC_REST_BITS if model.quantization.startswith("UD-") else None


def _without_experts(network: Network, layer: int) -> int:
    """Return the parameters of attention and of the MLP that every token passes through."""
    if network.intermediate is None:
        return 1
    feed_forward = network.intermediate
    if _has_experts(network, layer):
        feed_forward = _shared(network)
    return _attention_of(network, layer) + 3 * network.hidden * feed_forward


def _shared(network: Network) -> int:
    """Return the width of the experts that every token passes through."""
    return network.shared_experts * network.expert_intermediate


def _attention_of(network: Network, layer: int) -> int:
    kind = _attention if _has_attention(network, layer) else _linear_attention
    return kind(network)


def _routed(network: Network, layer: int) -> int:
    """Return the parameters of the routed experts."""
    if network.intermediate is None or not _has_experts(network, layer):
        return 0
    return network.experts * network.hidden * 3 * network.expert_intermediate


def _router(network: Network, layer: int) -> int:
    """Return the parameters of the router, which llama.cpp keeps with the rest of the layer."""
    return network.experts * network.hidden if _routed(network, layer) else 0


def _has_experts(network: Network, layer: int) -> bool:
    return network.experts > 0 and layer >= network.dense_layers


def _has_attention(network: Network, layer: int) -> bool:
    return caches_every_token(network, layer) or network.linear_value_heads == 0


def _linear_attention(network: Network) -> int:
    """Return the parameters of a linear attention layer: projections, gates and convolution."""
    keys = network.linear_key_heads * network.linear_head_dim
    values = network.linear_value_heads * network.linear_head_dim
    inner = 2 * keys + 3 * values + 2 * network.linear_value_heads
    return network.hidden * inner + (2 * keys + values) * (_CONVOLUTION + 1)


def _attention(network: Network) -> int:
    if network.kv_lora_rank is None:
        queries = (3 if network.gated_attention else 2) * network.heads
        return network.hidden * network.head_dim * (queries + 2 * network.kv_heads)
    keys = network.nope_head_dim or network.head_dim
    values = network.v_head_dim or network.head_dim
    query = network.heads * (keys + (network.rope_head_dim or 0))
    return (
        latent_weights(network)
        + _indexer(network)
        + query * (network.q_lora_rank or network.hidden)
        + network.kv_lora_rank * network.heads * (keys + values)
        + network.heads * values * network.hidden
    )


def _indexer(network: Network) -> int:
    """Return the parameters of sparse MLA's indexer: queries, one key, a weight per head."""
    width = network.index_head_dim or 0
    queries = network.index_heads * width * (network.q_lora_rank or network.hidden)
    return queries + network.hidden * (width + network.index_heads)
