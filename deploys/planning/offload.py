"""Which layers llama.cpp keeps on which card, which in host memory, and what that takes.

It deals whole layers out by the free memory of the cards, the output head last, as one layer more.
What does not fit stays in host memory: the experts of leading layers, or leading layers whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from deploys.planning.memory import MIB, Card, CardLedger, ledger_of
from deploys.planning.model import Model
from deploys.planning.network import Parts, kv_bytes, parts
from deploys.planning.profile import KvCache

# Tokens of one step (--ubatch-size); all numbers below are llama.cpp's at commit 0c1e570.
STEP = 512
# What --fit leaves free on every card (--fit-target), and what our plans leave, too.
MARGIN = 1024 * MIB
# A CUDA context, its libraries and their workspaces, per process and card; the middle of 611 to 737
# MiB on an H200 and two H100s, driver 580.159, CUDA 13.0. Source: tests/gpu/results, November 2026.
_CONTEXT = 674 * MIB
# The process itself; its pages of a mapped file are counted as weights.
_PROCESS = 256 * MIB
# A context is made a multiple of this (llama-context.cpp, n_ctx_seq).
_CELLS = 256


@dataclass(frozen=True, kw_only=True)
class Split:
    """What one server keeps where.

    + context, parallel: tokens of one request, and requests; each has its cache to itself
    + gpu_layers: layers on the cards, from the last back; the output head is the first of them
    + cpu_experts: leading layers whose routed experts stay in host memory
    """

    context: int
    parallel: int
    kv_cache: KvCache
    gpu_layers: int
    cpu_experts: int

    @property
    def cells(self) -> int:
        """Tokens that each request's cache holds."""
        return -(-self.context // _CELLS) * _CELLS


def everything(model: Model) -> int:
    """gpu_layers of a server that keeps all layers and the head on its cards."""
    return model.layers + 1


def server(
    model: Model, size: int, split: Split, cards: Sequence[Card]
) -> tuple[tuple[CardLedger, ...], Mapping[str, int]]:
    """The ledgers of the cards, and bytes of host memory by purpose."""
    pieces = parts(model, size)
    cache = kv_bytes(model, split.kv_cache) * split.cells * split.parallel
    start = model.layers + 1 - split.gpu_layers
    weights, caches = [0] * len(cards), [0] * len(cards)
    # The embedding is looked up on the host, row by row. A tied head is a copy of it on the card.
    host_weights, host_cache = pieces.embedding, 0
    for layer, card in enumerate(_cards_of_layers(model, split, cards), start):
        if layer == model.layers:
            weights[card] += pieces.head or pieces.embedding
            continue
        caches[card] += cache
        weights[card] += pieces.layers[layer]
        if layer < split.cpu_experts:
            weights[card] -= pieces.experts[layer]
            host_weights += pieces.experts[layer]
    for layer in range(min(start, model.layers)):
        host_weights += pieces.layers[layer]
        host_cache += cache
    if start > model.layers:
        host_weights += pieces.head
    host = {
        "weights": host_weights,
        "KV cache": host_cache,
        "compute buffer": compute_buffer(model, split),
        "processes": _PROCESS,
    }
    copied = _copied_experts(model, pieces, split)
    ledgers = tuple(
        ledger_of(
            card,
            {
                "weights": weights[position],
                "KV cache": caches[position],
                "compute buffer": compute_buffer(
                    model, split, cards=len(cards), copied=0 if position else copied
                ),
                "CUDA context": _CONTEXT,
                "margin": MARGIN,
            },
        )
        for position, card in enumerate(cards)
    )
    return ledgers, {purpose: size for purpose, size in host.items() if size}


def compute_buffer(model: Model, split: Split, *, cards: int = 1, copied: int = 0) -> int:
    """What the tensors of one step take on one device, in 4 bytes a number.

    The widest part of a layer (gate, up and product of the feed-forward part or of the experts that
    a token passes through, beside `copied` bytes of them; or its queries, with MLA also as wide as
    the latent vector, and what attention makes of them), four vectors of the hidden width, and the
    logits of the last token of every request. The mask of flash attention has 2 bytes a token of
    the step and cell; where several cards hold a whole model, inputs are kept four times
    (GGML_SCHED_MAX_COPIES).
    """
    wide = 3 * (model.intermediate or 4 * model.hidden)
    if model.experts:
        wide = max(wide, model.experts_used * (3 * model.expert_intermediate + model.hidden))
    queries = 2 * model.heads * model.head_dim
    if model.kv_lora_rank is not None and not model.legacy_cache:
        rope = model.rope_head_dim or 0
        queries = model.heads * (2 * model.kv_lora_rank + model.head_dim + 2 * rope)
    copies = 4 if cards > 1 and split.gpu_layers > model.layers and not split.cpu_experts else 1
    inputs = copies * STEP * (2 * split.cells + 4 * model.hidden)
    logits = 4 * split.parallel * (model.vocabulary or 0)
    widest = max(4 * STEP * wide + copied, 4 * STEP * queries)
    return widest + 4 * STEP * 4 * model.hidden + inputs + logits


def _cards_of_layers(model: Model, split: Split, cards: Sequence[Card]) -> list[int]:
    """The position of the card of each layer from the first on a card to the head.

    Source: llama-model.cpp, get_layer_buft_list: a layer goes where its place among all lies
    between the running shares of free memory.
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
    """Experts in host memory are copied to the first card, matrix by matrix, to read a prompt.

    A layer has three such matrices. Where several layers are copied, the place of one is too small
    for the next, as quantizations give one of the three more bits in some layers: two are held. The
    last layer reads only the last token of a prompt, on the host. Source: tests/gpu/results.
    """
    layers = [size for size in pieces.experts[: min(split.cpu_experts, model.layers - 1)] if size]
    if len(layers) < 2:
        return sum(layers) // 3
    return max(layers) * 3 // 4
