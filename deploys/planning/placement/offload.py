"""Which layers llama.cpp keeps on which card and which in host memory, and the memory that takes.

It distributes whole layers by the free memory of the cards, the output head last, as one more
layer. What does not fit stays in host memory: the experts of leading layers, or whole leading
layers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from deploys.planning.inputs.profile import KvCache
from deploys.planning.models.cache import (
    attends_to_all,
    cache_bytes,
    kv_bytes,
    layers_are_alike,
    request_bytes,
    shares_cache,
)
from deploys.planning.models.model import Model
from deploys.planning.models.network import Parts, parts
from deploys.planning.models.shapes import Network
from deploys.planning.placement.memory import MIB, Card, CardLedger, ledger_of

# Tokens of a step by default (--ubatch-size); all numbers below are llama.cpp's at commit 0c1e570.
STEP = 512
# What --fit leaves free on every card (--fit-target), and what our plans leave, too.
MARGIN = 1024 * MIB
# A CUDA context and its libraries, per process and card; and cuBLAS, which multiplies matrices in
# 16 bits and those of MLA. Seen on an H200 and on H100: 610 to 630 MiB without, 718 to 736 with.
_CONTEXT, _CUBLAS = 625 * MIB, 105 * MIB
# Of a Vulkan process: its pipelines and command buffers.
_PIPELINES = 256 * MIB
# The process itself; its pages of a mapped file are counted as weights.
_PROCESS = 256 * MIB
# A context is made a multiple of this (llama-context.cpp, n_ctx_seq).
_CELLS = 256


@dataclass(frozen=True, kw_only=True)
class Split:
    """How one server splits a model between cards and host.

    + context, parallel: tokens per request, and requests; each has a cache of its own
    + gpu_layers: layers on the cards, counted from the last; the output head is the first of them
    + cpu_experts: leading layers whose routed experts stay in host memory
    + embedding_on_card: it is looked up there, as Python engines do it, and not on the host
    + step: tokens that are read at once
    + adapters: bytes of LoRA adapters, of which each layer's part is where the layer is
    + vulkan: the cards are reached through Vulkan, and not through CUDA
    """

    context: int
    parallel: int
    kv_cache: KvCache
    gpu_layers: int
    cpu_experts: int
    embedding_on_card: bool = False
    step: int = STEP
    adapters: int = 0
    vulkan: bool = False

    @property
    def cells(self) -> int:
        """Tokens that each request's cache holds."""
        return -(-self.context // _CELLS) * _CELLS


def all_gpu_layers(network: Network) -> int:
    """Return the gpu_layers of a server that keeps all layers and the head on its cards."""
    return network.layers + 1


def server(
    model: Model, size: int, split: Split, cards: Sequence[Card]
) -> tuple[tuple[CardLedger, ...], Mapping[str, int]]:
    """Return the ledgers of the cards, and the bytes of host memory by purpose."""
    network = model.network
    # Its projector is on the first card, as a whole (mtmd, --mmproj-offload).
    pieces = parts(model, size - model.projector_size)
    cache = cache_of(model, split)
    start = network.layers + 1 - split.gpu_layers
    weights, caches = [0] * len(cards), [0] * len(cards)
    # The embedding is looked up on the host, row by row. A tied head is a copy of it on the card.
    host_weights, host_cache = pieces.embedding, 0
    beside = [0] * len(cards)
    if cards:
        weights[0] += model.projector_size
    else:
        host_weights += model.projector_size
    if split.embedding_on_card and cards:
        host_weights -= pieces.embedding
        # Where the head is tied, it is this very one.
        weights[0] += pieces.embedding if pieces.head else 0
    for layer, card in enumerate(_cards_of_layers(network, split, cards), start):
        if layer == network.layers:
            weights[card] += pieces.head or pieces.embedding
            continue
        caches[card] += cache[layer]
        beside[card] += split.adapters // network.layers
        weights[card] += pieces.layers[layer]
        if layer < split.cpu_experts:
            weights[card] -= pieces.experts[layer]
            host_weights += pieces.experts[layer]
    for layer in range(min(start, network.layers)):
        host_weights += pieces.layers[layer]
        host_cache += cache[layer]
    if start > network.layers:
        host_weights += pieces.head
    host = {
        "weights": host_weights,
        "adapters": split.adapters // network.layers * min(start, network.layers),
        "KV cache": host_cache,
        "compute buffer": host_buffer(model, split, cards=len(cards)),
        "processes": _PROCESS,
    }
    context = _context(model, split, max(cache))
    buffers = [compute_buffer(model, split, cards=len(cards))] * len(cards)
    if cards:
        buffers[0] = max(buffers[0], _copied_experts(model, pieces, split))
    ledgers = tuple(
        ledger_of(
            card,
            {
                "weights": weights[position],
                "adapters": beside[position],
                "KV cache": caches[position],
                "compute buffer": buffers[position],
                "Vulkan context" if split.vulkan else "CUDA context": context,
                "margin": MARGIN,
            },
        )
        for position, card in enumerate(cards)
    )
    return ledgers, {purpose: size for purpose, size in host.items() if size}


def cache_of(model: Model, split: Split) -> tuple[int, ...]:
    """Return the cache bytes of each layer, all requests together.

    A sliding window has room for one more step (llama-kv-cache-iswa.cpp).
    """
    network = model.network
    if not network.causal:
        return (0,) * network.layers
    if layers_are_alike(network):
        return (kv_bytes(model, split.kv_cache) * split.cells * split.parallel,) * network.layers
    window = -(-((network.sliding_window or 0) + split.step) // _CELLS) * _CELLS
    cells = min(window, split.cells)
    fixed = request_bytes(model, split.kv_cache, window=cells)
    caches = []
    for layer in range(network.layers):
        kept = cache_bytes(model, split.kv_cache, layers=(layer,)) * split.cells
        if not attends_to_all(network, layer):
            kept = 0 if shares_cache(network, layer) else fixed
        caches.append(kept * split.parallel)
    return tuple(caches)


def compute_buffer(model: Model, split: Split, *, cards: int = 1) -> int:
    """Return the bytes of one step's tensors on one device, at 4 bytes per number.

    A dense layer is widest in its MLP: gate, up and product, and three vectors of the hidden size.
    With MLA the widest part is attention: the queries, the same projected to the latent width, the
    attention output in that width, and that unpacked. Both match exactly what an H200 showed
    (tests/gpu/results). Experts without MLA are counted like the dense MLP, for each expert that a
    token uses; that is not confirmed. Added to that is the mask of flash attention, 2 bytes per
    token of the step and cell.
    """
    network = model.network
    wide = 3 * (network.intermediate or 4 * network.hidden) + 3 * network.hidden
    if network.experts:
        expert = 3 * network.expert_intermediate + network.hidden
        wide = max(wide, network.experts_used * expert + 3 * network.hidden)
    if network.kv_lora_rank is not None and not model.legacy_cache:
        rope = network.rope_head_dim or 0
        query = (network.nope_head_dim or network.head_dim) + rope
        found = network.kv_lora_rank + (network.v_head_dim or network.head_dim)
        latent = network.heads * (query + network.kv_lora_rank + rope + found)
        wide = max(wide, latent + 2 * network.hidden)
    copies = _copies(network, split, cards)
    inputs = copies * _mask(split) + (copies * _embeddings(network, split) if copies > 1 else 0)
    return 4 * split.step * wide + inputs


def host_buffer(model: Model, split: Split, *, cards: int) -> int:
    """Return the host's buffer for one step: only inputs and outputs if all layers are on cards."""
    network = model.network
    if split.gpu_layers < all_gpu_layers(network):
        return compute_buffer(model, split)
    inputs = _copies(network, split, cards) * (_mask(split) + _embeddings(network, split))
    return inputs + _embeddings(network, split)


def _copies(network: Network, split: Split, cards: int) -> int:
    """Return the steps in flight: 4 if several cards hold all layers (GGML_SCHED_MAX_COPIES)."""
    return 4 if cards > 1 and split.gpu_layers > network.layers and not split.cpu_experts else 1


def _context(model: Model, split: Split, cache: int) -> int:
    """Return what a process keeps on a card beside what its ledger names.

    + cache: bytes of one layer's

    Vulkan's pipelines convert what they multiply: a step's widest activations, and a layer's cache
    in 8 bits to 16 (ggml-vulkan.cpp, prealloc_y and prealloc_x). That was read and not measured.
    """
    network = model.network
    if split.vulkan:
        widest = max(network.intermediate or 4 * network.hidden, network.hidden)
        return _PIPELINES + 4 * split.step * widest + (2 * cache if split.kv_cache != "auto" else 0)
    plain = network.kv_lora_rank is None and model.quantization not in ("F16", "BF16")
    return _CONTEXT if plain else _CONTEXT + _CUBLAS


def _mask(split: Split) -> int:
    return 2 * split.step * split.cells


def _embeddings(network: Network, split: Split) -> int:
    return 4 * split.step * network.hidden


def _cards_of_layers(network: Network, split: Split, cards: Sequence[Card]) -> list[int]:
    """Return the card position of each layer, from the first one on a card to the head.

    Source: llama-model.cpp, get_layer_buft_list: a layer goes to the card whose cumulative share of
    free memory covers its position.
    """
    if not cards:
        return []
    free = list(accumulate(max(0, card.visible - card.used) for card in cards))
    shares = [share / max(1, free[-1]) for share in free]
    last = len(cards) - 1
    return [
        min(last, bisect_right(shares, place / split.gpu_layers))
        for place in range(split.gpu_layers)
    ]


def _copied_experts(model: Model, pieces: Parts, split: Split) -> int:
    """Return the first card's buffer for host experts, copied to it for long prompts.

    They are copied one matrix at a time, in place of a layer's other tensors, except for the last
    layer, which sees one token of a prompt. In a mixed quantization matrices differ in size from
    layer to layer, and each size has its own place. DeepSeek-R1 in Q4_K_M, where an average matrix
    is 2170 MiB, showed 2228 on an H200 with one such layer, and 4970 on an H100 with more.
    """
    read = pieces.experts[: min(split.cpu_experts, model.network.layers - 1)]
    matrix = max(read, default=0) / 3
    places = 1.0 if sum(map(bool, read)) < 2 else 2.28
    return int(matrix * places) + _mask(split) + _embeddings(model.network, split)
