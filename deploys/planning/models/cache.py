"""What a network keeps of what it has read: of every token, and of every request."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.inputs.profile import KvCache
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network

# Bytes of one number in the cache. q8_0 keeps 32 numbers in 34 bytes (ggml-common.h, block_q8_0).
_KV_WIDTH = {"auto": 2.0, "fp8": 1.0, "q8_0": 34 / 32}
# Bytes of a sparse MLA layer's entry in vLLM's fp8_ds_mla layout: 512 of fp8, 16 of scales, 128 of
# rotary keys. Source: vLLM 0.33, flashmla_sparse.py.
_FP8_DS_MLA = 656
# The same of DeepSeek-V4: 448 of fp8, 8 of scales, 128 of rotary keys; vLLM's kernels for it know
# no other by default. Source: vLLM 0.32, models/deepseek_v4/attention.py, state_content_bytes.
_FP8_COMPRESSED = 584
# What DeepSeek-V4 still has to compress: values and scores of the tokens that one entry is for, in
# 4 bytes each; of those in fours, of two entries, as they overlap. Source: vLLM 0.32,
# models/deepseek_v4/compressor.py, CompressorStateCache.
_OVERLAPPING = 4
# Bytes of the scale of an indexer's key in MLA, and of a number of one without MLA. Source: vLLM,
# models/deepseek_v4/attention.py, k_cache_head_dim; models/minimax_m3/common/indexer.py.
_INDEX_SCALE, _PLAIN_INDEX_WIDTH = 4, 2
# Bytes of one number in the state of linear attention, and tokens before this one that its
# convolution needs. Source: mamba_ssm_dtype in Qwen3.6's config.json, llama.cpp's default; both
# engines' state shapes.
_STATE_WIDTH = 4
CONVOLUTION = 3


def attends_to_all(network: Network, layer: int) -> bool:
    """Return whether the layer looks at all tokens; those of multi-token prediction do."""
    if network.full_attention_layers is not None:
        return layer >= network.layers or layer in network.full_attention_layers
    return layer >= network.layers or (layer + 1) % network.full_attention_interval == 0


def caches_every_token(network: Network, layer: int) -> bool:
    """Return whether the layer caches something of every token."""
    if network.compressed is not None:
        return layer < network.layers and network.compressed.ratios[layer] > 1
    return attends_to_all(network, layer) and not shares_cache(network, layer)


def shares_cache(network: Network, layer: int) -> bool:
    """Return whether the layer reads the cache of an earlier one, and has none of its own."""
    return network.layers - network.shared_cache_layers <= layer < network.layers


def has_indexer(network: Network, layer: int) -> bool:
    """Return whether the layer chooses itself which tokens it looks at."""
    if network.index_head_dim is None:
        return False
    # Those of multi-token prediction have one (vLLM 0.32, models/deepseek_v32/attention.py).
    alone = layer >= network.layers and network.compressed is None
    return network.index_layers is None or alone or layer in network.index_layers


def layers_are_alike(network: Network) -> bool:
    """Return whether every layer caches the same of every token."""
    return (
        network.full_attention_interval == 1
        and network.full_attention_layers is None
        and network.shared_cache_layers == 0
        and network.compressed is None
        and network.index_layers is None
    )


def count_caching_layers(network: Network, layers: Sequence[int] | None = None) -> int:
    """Return how many of `layers`, by default all but those of MTP, cache every token."""
    chosen = range(network.layers) if layers is None else layers
    if not network.causal:
        return 0
    if layers_are_alike(network):
        return len(chosen)
    return sum(caches_every_token(network, layer) for layer in chosen)


def cache_bytes(
    model: Model,
    kv_cache: KvCache = "auto",
    *,
    tensor_parallel: int = 1,
    layers: Sequence[int] | None = None,
) -> int:
    """Return the bytes per token in the cache of one card, in `layers`; by default all but MTP."""
    chosen = range(model.network.layers) if layers is None else layers
    alike = kv_bytes(model, kv_cache, tensor_parallel=tensor_parallel)
    if model.network.compressed is None and model.network.index_layers is None:
        return alike * count_caching_layers(model.network, chosen)
    return int(sum(_layer_bytes(model, layer, kv_cache, tensor_parallel) for layer in chosen))


def kv_bytes(model: Model, kv_cache: KvCache = "auto", *, tensor_parallel: int = 1) -> int:
    """Return the bytes per token in the cache of one card, in one layer that caches every token.

    Keys and values of the heads, which tensor parallelism splits until a card has one; or with MLA
    the latent vector and the rotary key, which every card holds in full. For files converted before
    llama.cpp could cache that vector (`legacy_cache`) it is the keys and values of all heads.
    Sparse attention also caches the indexer's keys: with MLA one byte per number, and four for
    their scale (vLLM 0.33).
    """
    own = _own_bytes(model, kv_cache, tensor_parallel)
    return int(own) if model.legacy_cache else int(own + _index_bytes(model.network))


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
        kv_heads = network.window_kv_heads or network.kv_heads
        keys = network.window_head_dim or network.head_dim
        # Widths of their own are of keys and values alike.
        values = network.window_head_dim or network.v_head_dim or network.head_dim
        heads = kv_heads / min(tensor_parallel, kv_heads)
        return tokens * int(heads * (keys + values) * _KV_WIDTH[kv_cache])
    width = network.linear_head_dim
    inputs = (2 * network.linear_key_heads + network.linear_value_heads) * width * CONVOLUTION
    state = network.linear_value_heads * width * width + inputs
    return state * _STATE_WIDTH // tensor_parallel


def fixed_bytes(
    model: Model, layers: Sequence[int], kv_cache: KvCache = "auto", *, tensor_parallel: int = 1
) -> int:
    """Return the bytes per request on one card that do not grow with its tokens, in `layers`."""
    network = model.network
    if layers_are_alike(network):
        return 0
    if network.compressed is not None:
        return sum(_compressing_bytes(network, layer) for layer in layers)
    others = sum(
        not attends_to_all(network, layer) and not shares_cache(network, layer) for layer in layers
    )
    return others * request_bytes(model, kv_cache, tensor_parallel=tensor_parallel)


def _layer_bytes(model: Model, layer: int, kv_cache: KvCache, tensor_parallel: int) -> float:
    network = model.network
    if not caches_every_token(network, layer):
        return 0
    own = _own_bytes(model, kv_cache, tensor_parallel)
    index = _index_bytes(network) if has_indexer(network, layer) else 0
    return (own + index) / (network.compressed.ratios[layer] if network.compressed else 1)


def _own_bytes(model: Model, kv_cache: KvCache, tensor_parallel: int) -> float:
    """Return the bytes of one entry without its indexer's key."""
    network = model.network
    width = _KV_WIDTH[kv_cache]
    if network.compressed is not None:
        return _FP8_COMPRESSED
    if network.kv_lora_rank is None:
        heads = network.kv_heads / min(tensor_parallel, network.kv_heads)
        return int(heads * (network.head_dim + (network.v_head_dim or network.head_dim)) * width)
    rope = network.rope_head_dim or 0
    if model.legacy_cache:
        keys = (network.nope_head_dim or network.head_dim) + rope
        values = network.v_head_dim or network.head_dim
        return network.heads * (keys + values) * width
    if network.index_head_dim is not None and kv_cache == "fp8":
        return _FP8_DS_MLA
    return (network.kv_lora_rank + rope) * width


def _index_bytes(network: Network) -> int:
    if network.index_head_dim is None:
        return 0
    if network.kv_lora_rank is None:
        return network.index_head_dim * _PLAIN_INDEX_WIDTH
    return network.index_head_dim + _INDEX_SCALE


def _compressing_bytes(network: Network, layer: int) -> int:
    """Return the bytes of a DeepSeek-V4 layer's window, and of what it has not compressed yet."""
    assert network.compressed is not None
    kept = (network.sliding_window or 0) * _FP8_COMPRESSED
    ratio = network.compressed.ratios[layer] if layer < network.layers else 1
    if ratio <= 1:
        return kept
    overlap = 2 if ratio == _OVERLAPPING else 1
    width = network.head_dim
    width += (network.index_head_dim or 0) if has_indexer(network, layer) else 0
    return kept + overlap * ratio * 2 * overlap * width * 4
