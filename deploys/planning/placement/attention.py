"""How the cards of a copy share attention and its cache, where MLA has one vector for all heads.

Tensor parallelism splits heads, so each card has the whole vector of every token. Decode context
parallelism has each card keep some of the tokens, and gathers queries and results of all heads;
data parallel attention has each card, or group of cards, keep the requests it answers, and
attention whole. tests/unit/data/attention.yaml has what the engines' sources say of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from deploys.planning.engines.base import FillsCards
from deploys.planning.models.network import parts
from deploys.planning.placement.choice import Request
from deploys.planning.placement.memory import Layout, card_weights
from deploys.planning.quantity import human

# Cards that hold one cache between them, and groups of cards with a cache of their own.
Way = tuple[int, int]
WHOLE: Way = (1, 1)


def ways(
    request: Request, takes: FillsCards, tensor: int, pipeline: int, copies: int
) -> tuple[Way, ...]:
    """Return the ways to share attention, the preferred first.

    What waits least is whole heads on each card, what answers the most requests is cards with
    requests of their own, and what holds the most tokens is a cache that all hold together.
    """
    network = request.model.network
    if network.kv_lora_rank is None or tensor == 1:
        return (WHOLE,)
    part = [(tensor, 1)] if not why_no_parts(request, takes) else []
    own = [(1, tensor)] if not why_no_data(request, takes, pipeline, copies) else []
    return {
        "latency": (WHOLE, *part, *own),
        "balanced": (*part, *own, WHOLE),
        "throughput": (*own, *part, WHOLE),
    }[request.service.performance]


def why_no_parts(request: Request, takes: FillsCards) -> str:
    """Return why cards cannot hold a part of each cache; "" where they can."""
    compute = request.gpu.compute if request.gpu else ""
    if not takes.mla.parts:
        return "has no decode context parallelism that its usual kernels take part in"
    if request.model.network.index_head_dim is not None:
        return "has not shown decode context parallelism with sparse attention"
    if compute not in takes.mla.parts:
        return "has no kernels on these cards that take a part of a cache"
    if request.service.kv_cache == "fp8" and compute not in takes.mla.parts_in_fp8:
        return "has no kernels on these cards that take a part of a cache in FP8"
    return ""


def why_no_data(request: Request, takes: FillsCards, pipeline: int, copies: int) -> str:
    """Return why cards cannot have requests of their own; "" where they can."""
    if not request.model.network.experts:
        return "there are no experts for cards to share that attend apart"
    if request.service.adapters:
        # Source: SGLang 0.5.23, lora_manager.py, validate_new_adapter.
        return "cards that attend apart are not known to go with LoRA adapters"
    if pipeline > 1:
        return "cards that attend apart are not known to go with a pipeline"
    if copies > 1 and not takes.mla.replicas:
        return "it has either further replicas or cards that attend apart"
    return ""


def drafts(takes: FillsCards, request: Request, way: Way) -> bool:
    """Whether several drafted tokens are proven at once where each card holds a part."""
    compute = request.gpu.compute if request.gpu else ""
    known = compute in takes.mla.drafting and request.service.kv_cache == "auto"
    return way[0] == 1 or known


def reasons(request: Request, layout: Layout) -> Iterator[str]:
    """Yield how attention is shared, and what keeps the cache from being there once."""
    cards = layout.tensor_parallel
    if request.model.network.kv_lora_rank is None or cards == 1:
        return
    if layout.context_parallel > 1:
        yield (
            f"Decode context parallel {layout.context_parallel}: MLA keeps one vector for all"
            " heads, and each card a part of the tokens instead of all of them"
        )
    elif layout.data_parallel > 1:
        yield (
            f"Data parallel attention {layout.data_parallel}: each card attends to requests of its"
            " own, so MLA's one vector for all heads is there once; experts are shared"
        )
        whole = replace(layout, data_parallel=1, ranks=1, experts_whole=False)
        stage = range(request.model.network.layers)
        split = parts(request.model, request.size)
        more = card_weights(request.model, split, stage, layout)
        more -= card_weights(request.model, split, stage, whole)
        yield f"For that, {human(more)} more weights on each card, which the cache has less"
    elif request.service.performance == "latency":
        yield (
            f"MLA keeps one vector for all heads, so each of {cards} cards holds the whole cache:"
            " large enough, and what waits least"
        )
    else:
        no_parts = why_no_parts(request, layout.takes) or "would hold no more in parts"
        copies = request.copies or 1
        no_data = why_no_data(request, layout.takes, layout.pipeline_parallel, copies)
        no_data = no_data or "attention whole on each card would leave less of it"
        yield (
            f"MLA keeps one vector for all heads, and each of {cards} cards the whole cache:"
            f" {request.title} {no_parts}, and {no_data}"
        )
