"""The parts of a network: their parameters and bytes, and the cache that a token takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from deploys.planning.inputs.profile import KvCache
from deploys.planning.models.model import Model

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
    + experts: share of the routed experts in each layer, in bytes
    """

    embedding: int
    head: int
    layers: tuple[int, ...]
    experts: tuple[int, ...]

    @property
    def total(self) -> int:
        return self.embedding + self.head + sum(self.layers)


@lru_cache(maxsize=256)
def parts(model: Model, size: int) -> Parts:
    """Distribute `size` bytes of files over the parts, by their parameters and usual bit widths."""
    matrix = (model.vocabulary or 0) * model.hidden
    average = size * 8 / model.parameters
    embedding_bits = head_bits = max(average, 16.0)
    rest_bits = _rest_bits(model)
    if model.format == "gguf" and model.quantization in _EXPERTS_ALONE:
        embedding_bits = head_bits = _REST_BITS["gguf"]
    elif model.format == "gguf":
        embedding_bits = average if average >= 8 else _GGUF_EMBEDDING_BITS
        head_bits = average if average >= 8 else _GGUF_HEAD_BITS
    embedding = int(matrix * embedding_bits / 8)
    head = 0 if model.tied_embeddings else int(matrix * head_bits / 8)
    count = model.layers + model.mtp_layers
    rest = [_without_experts(model, layer) for layer in range(count)]
    routed = [_routed(model, layer) for layer in range(count)]
    routers = [_router(model, layer) for layer in range(count)]
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
    return Parts(embedding=embedding, head=head, layers=tuple(layers), experts=tuple(experts))


def parameter_count(model: Model) -> int:
    """Return the parameter count, from the shape, without multi-token prediction and norms."""
    matrices = (model.vocabulary or 0) * model.hidden * (1 if model.tied_embeddings else 2)
    layers = range(model.layers)
    return matrices + sum(
        _without_experts(model, n) + _router(model, n) + _routed(model, n) for n in layers
    )


def latent_weights(model: Model) -> int:
    """Return the parameters of an MLA layer that every card holds in full: the down projections.

    Source: vLLM and SGLang, deepseek_v2.py, ReplicatedLinear of q_a_proj and kv_a_proj_with_mqa.
    """
    if model.kv_lora_rank is None:
        return 0
    latent = model.kv_lora_rank + (model.rope_head_dim or 0)
    return model.hidden * ((model.q_lora_rank or 0) + latent)


def caches_every_token(model: Model, layer: int) -> bool:
    """Return whether the layer caches every token; those of multi-token prediction do."""
    return layer >= model.layers or (layer + 1) % model.full_attention_interval == 0


def count_caching_layers(model: Model, layers: Sequence[int] | None = None) -> int:
    """Return how many of `layers`, by default all but those of MTP, cache every token."""
    if model.full_attention_interval == 1:
        return model.layers if layers is None else len(layers)
    return sum(caches_every_token(model, layer) for layer in layers or range(model.layers))


def kv_bytes(model: Model, kv_cache: KvCache = "auto", *, tensor_parallel: int = 1) -> int:
    """Return the bytes per token in the cache of one card, in one layer that caches every token.

    Keys and values of the heads, which tensor parallelism splits until a card has one; or with MLA
    the latent vector and the rotary key, which every card holds in full. For files converted before
    llama.cpp could cache that vector (`legacy_cache`) it is the keys and values of all heads.
    Sparse MLA also caches the indexer's keys: one byte per number, and four for their scale (vLLM
    0.33).
    """
    width = _KV_WIDTH[kv_cache]
    if model.kv_lora_rank is None:
        heads = model.kv_heads / min(tensor_parallel, model.kv_heads)
        return int(2 * heads * model.head_dim * width)
    rope = model.rope_head_dim or 0
    if model.legacy_cache:
        keys = (model.nope_head_dim or model.head_dim) + rope
        values = model.v_head_dim or model.head_dim
        return int(model.heads * (keys + values) * width)
    if model.index_head_dim is not None:
        entry = _FP8_DS_MLA if kv_cache == "fp8" else (model.kv_lora_rank + rope) * width
        return int(entry + model.index_head_dim + 4)
    return int((model.kv_lora_rank + rope) * width)


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
    if model.sliding_window is not None:
        tokens = window or model.sliding_window
        return tokens * kv_bytes(model, kv_cache, tensor_parallel=tensor_parallel)
    width = model.linear_head_dim
    inputs = (2 * model.linear_key_heads + model.linear_value_heads) * width * _CONVOLUTION
    state = model.linear_value_heads * width * width + inputs
    return state * _STATE_WIDTH // tensor_parallel


def _rest_bits(model: Model) -> float | None:
    """Return the bits per weight outside the routed experts, or None if they do not differ."""
    if model.quantization in _EXPERTS_ALONE:
        return _REST_BITS[model.format]
    return _DYNAMIC_REST_BITS if model.quantization.startswith("UD-") else None


def _without_experts(model: Model, layer: int) -> int:
    """Return the parameters of attention and of the MLP that every token passes through."""
    if model.intermediate is None:
        return 1
    feed_forward = model.intermediate
    if _has_experts(model, layer):
        feed_forward = model.shared_experts * model.expert_intermediate
    attention = _attention(model) if _has_attention(model, layer) else _linear_attention(model)
    return attention + 3 * model.hidden * feed_forward


def _routed(model: Model, layer: int) -> int:
    """Return the parameters of the routed experts."""
    if model.intermediate is None or not _has_experts(model, layer):
        return 0
    return model.experts * model.hidden * 3 * model.expert_intermediate


def _router(model: Model, layer: int) -> int:
    """Return the parameters of the router, which llama.cpp keeps with the rest of the layer."""
    return model.experts * model.hidden if _routed(model, layer) else 0


def _has_experts(model: Model, layer: int) -> bool:
    return model.experts > 0 and layer >= model.dense_layers


def _has_attention(model: Model, layer: int) -> bool:
    return caches_every_token(model, layer) or model.linear_value_heads == 0


def _linear_attention(model: Model) -> int:
    """Return the parameters of a linear attention layer: projections, gates and convolution."""
    keys = model.linear_key_heads * model.linear_head_dim
    values = model.linear_value_heads * model.linear_head_dim
    inner = 2 * keys + 3 * values + 2 * model.linear_value_heads
    return model.hidden * inner + (2 * keys + values) * (_CONVOLUTION + 1)


def _attention(model: Model) -> int:
    if model.kv_lora_rank is None:
        queries = (3 if model.gated_attention else 2) * model.heads
        return model.hidden * model.head_dim * (queries + 2 * model.kv_heads)
    keys = model.nope_head_dim or model.head_dim
    values = model.v_head_dim or model.head_dim
    query = model.heads * (keys + (model.rope_head_dim or 0))
    return (
        latent_weights(model)
        + _indexer(model)
        + query * (model.q_lora_rank or model.hidden)
        + model.kv_lora_rank * model.heads * (keys + values)
        + model.heads * values * model.hidden
    )


def _indexer(model: Model) -> int:
    """Return the parameters of sparse MLA's indexer: queries, one key, a weight per head."""
    width = model.index_head_dim or 0
    queries = model.index_heads * width * (model.q_lora_rank or model.hidden)
    return queries + model.hidden * (width + model.index_heads)
