"""How many parameters a network has, and each part of each layer; biases and norms aside."""

from __future__ import annotations

from deploys.planning.models.cache import (
    CONVOLUTION,
    attends_to_all,
    has_indexer,
    shares_cache,
)
from deploys.planning.models.shapes import Compressed, Network

# A compressor makes a value and a score of each token; where entries overlap (those of four
# tokens), twice. Source: vLLM 0.32, models/deepseek_v4/compressor.py, fused_wkv_wgate.
_OVERLAPPING = 4


def parameter_count(network: Network) -> int:
    """Return the parameter count, from the shape, without multi-token prediction and norms."""
    outer = embeddings(network) * (1 if network.tied_embeddings else 2) + layer_embeddings(network)
    return outer + sum(layer_parameters(network, layer) for layer in range(network.layers))


def embeddings(network: Network) -> int:
    """Return the parameters of the token embedding, and of the output head."""
    return (network.vocabulary or 0) * network.hidden


def layer_embeddings(network: Network) -> int:
    """Return the parameters of the embeddings that layers have of their own.

    Source: vLLM 0.32, gemma4.py, embed_tokens_per_layer, one table for all layers.
    """
    return (network.vocabulary or 0) * network.layers * network.layer_embeddings


def layer_parameters(network: Network, layer: int) -> int:
    """Return the parameters of one layer; those of multi-token prediction come last."""
    return without_experts(network, layer) + router(network, layer) + routed(network, layer)


def latent_weights(network: Network) -> int:
    """Return the parameters of an MLA layer that every card holds in full: the down projections.

    Source: vLLM and SGLang, deepseek_v2.py, ReplicatedLinear of q_a_proj and kv_a_proj_with_mqa.
    """
    if network.kv_lora_rank is None:
        return 0
    latent = network.kv_lora_rank + (network.rope_head_dim or 0)
    return network.hidden * ((network.q_lora_rank or 0) + latent)


def without_experts(network: Network, layer: int) -> int:
    """Return the parameters of attention and of the MLP that every token passes through."""
    if network.intermediate is None:
        return 1
    feed_forward = network.intermediate
    if has_experts(network, layer):
        feed_forward = shared_width(network)
    elif shares_cache(network, layer):
        feed_forward = network.shared_cache_intermediate or feed_forward
    matrices = 3 if network.gated_feed_forward else 2
    # What Gemma 4 does with a layer's own embedding: a gate down to it, and a matrix back, and of
    # the embedding of all layers one that makes it. Source: vLLM 0.32, gemma4.py.
    own = 3 * network.hidden * network.layer_embeddings
    # What Kimi-K3 does for its experts: down to their width, and back. Source: vLLM 0.32,
    # models/kimi_k3/nvidia/model.py, routed_expert_down_proj and routed_expert_up_proj.
    narrow = network.expert_hidden if has_experts(network, layer) else None
    projections = 2 * network.hidden * (narrow or 0)
    return attention(network, layer) + matrices * network.hidden * feed_forward + own + projections


def shared_width(network: Network) -> int:
    """Return the width of the experts that every token passes through."""
    return network.shared_experts * network.expert_intermediate


def routed(network: Network, layer: int) -> int:
    """Return the parameters of the routed experts."""
    if network.intermediate is None or not has_experts(network, layer):
        return 0
    width = network.expert_hidden or network.hidden
    return network.experts * width * 3 * network.expert_intermediate


def router(network: Network, layer: int) -> int:
    """Return the parameters of the router, which llama.cpp keeps with the rest of the layer."""
    return network.experts * network.hidden if routed(network, layer) else 0


def has_experts(network: Network, layer: int) -> bool:
    """Return whether the layer has routed experts."""
    if network.experts == 0 or layer < network.dense_layers:
        return False
    alike = (layer - network.dense_layers + 1) % network.experts_interval == 0
    return alike or layer >= network.layers


def attention(network: Network, layer: int) -> int:
    """Return the parameters of a layer's attention, of whichever kind it is."""
    if network.linear_value_heads and not attends_to_all(network, layer):
        return _linear(network)
    if network.compressed is not None:
        return _compressed(network, network.compressed, layer)
    indexer = _indexer(network) if has_indexer(network, layer) else 0
    if network.kv_lora_rank is not None:
        return indexer + _latent(network)
    return indexer + _heads(network, layer)


def _heads(network: Network, layer: int) -> int:
    """Return the parameters of queries, keys, values and output."""
    whole = attends_to_all(network, layer)
    heads, kv_heads, width = network.heads, network.kv_heads, network.head_dim
    values = network.v_head_dim or width
    if not whole:
        heads = network.window_heads or heads
        kv_heads = network.window_kv_heads or kv_heads
        width, values = (
            network.window_head_dim or width,
            network.window_head_dim or values,
        )
    if shares_cache(network, layer):
        kv_heads = 0
    gate = heads * width if network.gated_attention and whole else 0
    keys_alone = network.keys_are_values and whole
    kv = kv_heads * (width if keys_alone else width + values)
    return network.hidden * (heads * (width + values) + gate + kv)


def _latent(network: Network) -> int:
    """Return the parameters of MLA."""
    keys = network.nope_head_dim or network.head_dim
    values = network.v_head_dim or network.head_dim
    query = network.heads * (keys + (network.rope_head_dim or 0))
    outputs = 2 if network.gated_attention else 1
    return (
        latent_weights(network)
        + query * (network.q_lora_rank or network.hidden)
        + (network.kv_lora_rank or 0) * network.heads * (keys + values)
        + outputs * network.heads * values * network.hidden
    )


def _compressed(network: Network, shape: Compressed, layer: int) -> int:
    """Return the parameters of DeepSeek-V4's attention: queries, one vector, grouped outputs.

    Source: vLLM 0.32, models/deepseek_v4/attention.py and compressor.py.
    """
    width = network.head_dim
    queries = (network.q_lora_rank or network.hidden) * network.heads * width
    outputs = network.heads * width * shape.output_rank
    outputs += shape.output_groups * shape.output_rank * network.hidden
    ratio = shape.ratios[layer] if layer < network.layers else 1
    entries = 0
    if ratio > 1:
        kept = width + ((network.index_head_dim or 0) if has_indexer(network, layer) else 0)
        entries = network.hidden * kept * 2 * (2 if ratio == _OVERLAPPING else 1)
    indexer = 0
    if has_indexer(network, layer):
        indexer = _indexer(network) - network.hidden * (network.index_head_dim or 0)
    return latent_weights(network) + queries + outputs + entries + indexer


def _linear(network: Network) -> int:
    """Return the parameters of a linear attention layer: projections, gates and convolution."""
    keys = network.linear_key_heads * network.linear_head_dim
    values = network.linear_value_heads * network.linear_head_dim
    gate = network.hidden * values
    if network.linear_low_rank_gates:
        # Both of them: that of the state, and that of what comes out of it.
        gate = 2 * network.linear_head_dim * (network.hidden + values)
    inner = 2 * keys + 2 * values + 2 * network.linear_value_heads
    return network.hidden * inner + gate + (2 * keys + values) * (CONVOLUTION + 1)


def _indexer(network: Network) -> int:
    """Return the parameters of an indexer: queries, one key, a weight per head."""
    width = network.index_head_dim or 0
    queries = network.index_heads * width * (network.q_lora_rank or network.hidden)
    return queries + network.hidden * (width + network.index_heads)
