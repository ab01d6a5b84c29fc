"""What engines that fill their cards take of them, vLLM and SGLang: a share, and what is in it.

The cache gets what the rest leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deploys.planning.engines.base import FillsCards
from deploys.planning.engines.filled_cards import Step
from deploys.planning.models.model import Model
from deploys.planning.models.network import Parts, parts
from deploys.planning.models.shapes import Network
from deploys.planning.placement.memory import (
    GIB,
    MIB,
    Card,
    CardLedger,
    Layout,
    card_weights,
    ledger_of,
    stages_of,
    token_bytes,
    unpacked_mla_weights,
)

# A CUDA context and the libraries' workspaces, per process and card. Together with what a step
# takes (below) it explains what vLLM left on one H200 beside weights and cache, without graphs:
# 2.5 GiB with Qwen2.5-32B AWQ; with 20 layers of DeepSeek-R1 AWQ 6.9, or 9.6 in steps of 16384.
_CONTEXT = 512 * MIB
# CUDA graphs without what is said of splits: what vLLM 0.32 left on an H200 (data/memory.yaml).
_GRAPHS = 440 * MIB
# FlashAttention 3 splits a request's cache in so many parts where there are graphs, keeps each
# part's result in 4 bytes, and adds them up. vLLM 0.32 runs it beside the graphs of the largest
# size, 512 tokens or two for each request, and inside that of all requests, and gives the cache so
# much less. Source: max_num_splits in flash_attn.py and flashattn_mla.py of v1/attention/backends;
# config/vllm.py, max_cudagraph_capture_size; v1/worker/gpu/cudagraph_utils.py.
_SPLITS, _CAPTURED, _FLASH_ATTENTION_3 = 32, 512, "9.0"
# The same where a card has a part of each cache: it attends with all heads, which fill it with work
# already, and each part's results are as many times larger.
SPLITS_OF_PARTS = 8
# NCCL's channels and the all-reduce buffers of a group; not confirmed.
_COMMUNICATION = 512 * MIB
# Copies of the logits, in 4 bytes, that sampling makes.
_LOGITS = 3 * 4
# Bytes that vLLM keeps of each request and token of the vocabulary: how often it was said, and a
# bit each for prompts and for grammars. Source: vLLM 0.32, v1/worker/gpu: sample/penalties.py, line
# 43; structured_outputs.py, line 88.
_COUNTED = 4 + 2 / 8
# The table of rotary embeddings, for as many tokens as the network was trained for: sines and
# cosines in 2 bytes, of MLA in 4. Source: vLLM 0.32, layers/rotary_embedding: base.py, line 61;
# deepseek_scaling_rope.py, line 60.
_ROTARY, _ROTARY_OF_MLA = 2, 4
# Tokens whose keys and values MLA unpacks at once in a chunked prefill; a trial run before there is
# a cache makes room for it. Source: vLLM 0.32, mla_attention.py, forward_impl without metadata.
_MLA_WORKSPACE = 64 * 1024

# Tokens of a step, at least, that one of several such groups of cards takes.
_SMALLEST_CHUNK = 1024

# vLLM prefers Humming for experts in AWQ where the compute capability is this one, and Humming
# unpacks the gates and ups of a layer's experts to 4 bytes each, and once more to reorder them.
# Source: vLLM 0.32, quantization/utils/humming/priority.py; humming-kernels 0.1.17, schema/awq.py.
_HUMMING, _UNPACKED, _COPIES = "9.0", 4, 2
# What is there before the weights are.
_BEFORE_LOADING = ("driver", "other processes", "communication", "CUDA context")


def copy_of(
    model: Model, size: int, layout: Layout, group: Sequence[Card]
) -> tuple[tuple[CardLedger, ...], int]:
    """Return the ledgers of one copy's cards, stage by stage, and the tokens that a cache holds.

    It is the copy's only cache, but for data parallel attention, where it has several of one size.
    vLLM's cache is what its share leaves after all the rest. SGLang's share is weights and cache
    alone. A share below the weights leaves no cache, and the ledger may end below zero.
    """
    split = parts(model, size)
    stages = stages_of(model.network, layout.pipeline_parallel)
    ledgers, tokens = [], []
    alike: dict[tuple[int, int, int], CardLedger] = {}
    for position, card in enumerate(group):
        at = position // layout.tensor_parallel
        stage = stages[at]
        if known := alike.get((at, card.total, card.used)):
            ledgers.append(replace(known, index=card.index))
            continue
        weights = card_weights(model, split, stage, layout)
        own = {
            "weights": weights + unpacked_mla_weights(model, stage, layout.attention_parallel),
            "adapters": _adapters(layout),
            **_working(model.network, layout, card),
        }
        everything = layout.takes.share_of == "everything"
        counted = sum(own.values()) if everything else own["weights"] + own["adapters"]
        cache = max(0, int(layout.share * card.visible) - counted)
        tokens.append(cache // token_bytes(model, layout, stage) * layout.context_parallel)
        if not model.network.causal:
            # It keeps nothing, so there is room for all that are admitted, or not for the weights.
            cache, tokens[-1] = 0, cache and model.network.context * (layout.sequences or 1)
        ledger = ledger_of(card, {**own, "KV cache": cache})
        there = sum(ledger.lines.get(line, 0) for line in _BEFORE_LOADING)
        loading = there + own["weights"] + converting(model, split, layout)
        alike[at, card.total, card.used] = replace(ledger, loading=loading)
        ledgers.append(alike[at, card.total, card.used])
    return tuple(ledgers), min(tokens)


def _adapters(layout: Layout) -> int:
    """Return the bytes of the room for LoRA adapters on one card."""
    if layout.slots is None:
        return 0
    return layout.slots.of_card(layout.attention_parallel, layout.pipeline_parallel)


def converting(model: Model, split: Parts, layout: Layout) -> int:
    """Return the bytes of a layer that lie on a card twice while its experts are converted.

    These are the gates and ups of all experts, one tensor, as the files have them or unpacked.
    """
    network = model.network
    packed = model.quantization.startswith("AWQ")
    if not network.experts or not packed or not layout.takes.unpacks_awq:
        return 0
    if layout.compute == _HUMMING and layout.moe_backend is None:
        weights = 2 * network.experts * network.hidden * network.expert_intermediate
        return _COPIES * weights * _UNPACKED // layout.expert_parallel
    return max(split.experts) * 2 // 3 // layout.expert_parallel


def chunk(layout: Layout, card: Card) -> int:
    """Return the tokens of a step; those of cards that take it together share it."""
    if layout.chunk is not None:
        return layout.chunk
    tokens = step_of(layout.takes, card).tokens
    if layout.takes.doubles_steps and layout.performance == "throughput":
        tokens *= 2
    shared = max(tokens // layout.ranks, min(tokens, _SMALLEST_CHUNK))
    # vLLM refuses a step without room for a token of each request.
    return shared if layout.ranks == 1 else max(shared, layout.sequences or 0)


def _working(network: Network, layout: Layout, card: Card) -> dict[str, int]:
    """Return what an engine takes beside weights and cache, in bytes by purpose."""
    grouped = layout.tensor_parallel * layout.pipeline_parallel * layout.ranks > 1
    return {
        "activations": _activations(network, layout, card),
        "CUDA graphs": _GRAPHS + _splits(network, layout, card),
        "communication": _COMMUNICATION if grouped else 0,
        "CUDA context": _CONTEXT,
    }


def _activations(network: Network, layout: Layout, card: Card) -> int:
    """Return the peak of one full step in bytes, bf16 but for the logits, and what stays beside.

    The experts' workspace stays: for each expert that a token passes through, its input or output,
    and the product of gate and up (vLLM 0.32, workspace_shapes of marlin_moe.py and triton_moe.py).
    Of the phases the widest counts: logits of all requests, which every card gathers; gate, up and
    product of the feed-forward part with what goes in and out; with MLA the queries and outputs
    beside the keys and values that are unpacked.
    """
    tensor_parallel = layout.attention_parallel
    step, sequences = chunk(layout, card), step_of(layout.takes, card).sequences
    sequences = min(sequences, layout.sequences or sequences)
    kept, width = 0.0, network.intermediate or 4 * network.hidden
    if network.experts:
        # Cards that share the experts gather each other's tokens.
        split = 1 if layout.experts_whole else layout.expert_parallel
        expert = network.expert_intermediate / split
        rows = max(expert, network.hidden) + max(2 * expert, network.hidden)
        kept = step * layout.ranks * network.experts_used * rows * 2
        shared = network.shared_experts * network.expert_intermediate
        dense = network.dense_layers or network.experts_interval > 1
        width = max(shared, width if dense else 0)
    wide = 3 * width / tensor_parallel + 2 * network.hidden
    phases = [sequences * (network.vocabulary or 0) * _LOGITS, step * wide * 2]
    if network.kv_lora_rank is not None and network.compressed is None:
        heads = network.heads / tensor_parallel
        keys = network.nope_head_dim or network.head_dim
        values = network.v_head_dim or network.head_dim
        rope = network.rope_head_dim or 0
        row = heads * (keys + rope + values) + 2 * network.hidden
        row += (network.q_lora_rank or 0) + network.kv_lora_rank + rope
        phases.append(_MLA_WORKSPACE * heads * (keys + values) * 2 + step * row * 2)
    return int(kept + max(phases) + _tables(network, layout, sequences))


def _tables(network: Network, layout: Layout, sequences: int) -> float:
    """Return the bytes of what is kept for every request that is admitted, and for every token."""
    if not layout.takes.counts_tokens:
        return 0
    mla = network.kv_lora_rank is not None
    rotary = (network.rope_head_dim or 0) if mla else network.head_dim
    table = network.context * rotary * (_ROTARY_OF_MLA if mla else _ROTARY)
    return sequences * (network.vocabulary or 0) * _COUNTED + table


def _splits(network: Network, layout: Layout, card: Card) -> int:
    """Return the bytes of FlashAttention 3's split results; those of MLA are latent vectors."""
    fp8_latent = network.kv_lora_rank is not None and layout.kv_cache == "fp8"
    if not layout.takes.splits_cache or layout.compute != _FLASH_ATTENTION_3 or fp8_latent:
        return 0
    if network.index_head_dim is not None:
        return 0
    most = step_of(layout.takes, card).sequences
    sequences = min(most, layout.sequences or most)
    captured = min(2 * sequences, _CAPTURED)
    tokens = captured + min(sequences, captured)
    width = network.kv_lora_rank or network.head_dim
    # A card with a part of each cache attends to it with the heads of all.
    heads = network.heads * layout.context_parallel // layout.attention_parallel
    splits = _SPLITS if layout.context_parallel == 1 else SPLITS_OF_PARTS
    return splits * heads * width * 4 * tokens


def step_of(takes: FillsCards, card: Card) -> Step:
    """Return the largest step of an engine on a card."""
    return next(step for step in takes.steps if card.visible >= step.gib * GIB)
