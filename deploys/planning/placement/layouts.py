"""The layout that copies of a model run in: share of the cards, requests, and a step's tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from deploys.planning.adapters.slots import slots_of
from deploys.planning.engines.base import FillsCards
from deploys.planning.engines.filled_cards import FixedShare, Kept
from deploys.planning.models.shapes import Network
from deploys.planning.placement import attention
from deploys.planning.placement.attention import Way
from deploys.planning.placement.choice import Request
from deploys.planning.placement.memory import GIB, MIB, Card, Layout, fixed_cost_tokens
from deploys.planning.placement.parallelism import Attempt
from deploys.planning.placement.sharded_memory import step_of

# Requests of full length that a context we choose leaves room for.
FULL_REQUESTS = 4
# Requests are admitted for a cache that each fills to a quarter, an eighth or a sixteenth: what has
# no room then waits, or is computed again. At most so many as the engine itself admits on such
# cards, and for latency as vLLM has a graph of every size for.
_SHORTER = {"latency": 4, "balanced": 8, "throughput": 16}
_LATENCY_REQUESTS = 32
# The share of an engine that goes by what it keeps beside, and what it is told to take at once
# where that leaves hardly any cache: a quarter of its usual chunk, and it keeps as much less.
USUAL, TIGHTER, _SMALL_CHUNK = 1.0, 2.0, 2048
# Requests of a graph above which padding takes more.
_LARGE_BATCH = 300


def layout_of(
    request: Request,
    takes: FillsCards,
    cut: tuple[int, int, int],
    way: Way,
    most: float,
    cards: Sequence[Card],
) -> Layout:
    """Return the layout of copies that admit as many requests as are possible.

    + cut: tensor and pipeline parallel sizes, and copies
    + way: how the cards of a copy share attention
    + most: share of a card that is taken at most; more than the engine's own makes chunks small
    """
    service, network = request.service, request.model.network
    tensor, pipeline, copies = cut
    context, data = way
    shared = network.experts > 0 and takes.experts_of_replicas == "shared"
    ranks = copies * data if shared else data
    layout = Layout(
        takes=takes,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        kv_cache=service.kv_cache,
        share=0.0,
        performance=service.performance,
        sequences=math.ceil(_most_requests(request, takes, cards, copies) / (copies * data)),
        # Drafts shorten the wait of a few; many wait longer for the work that was for nothing.
        mtp=service.performance == "latency"
        and network.mtp_layers > 0
        and attention.drafts(takes, request, way),
        compute=request.gpu.compute if request.gpu else None,
        context_parallel=context,
        data_parallel=data,
        ranks=ranks,
        experts_whole=shared and ranks > 1,
        slots=slots_of(service),
        chunk=_SMALL_CHUNK if not isinstance(takes.share, FixedShare) and most > USUAL else None,
    )
    return replace(layout, share=_share(request, layout, most, cards))


def _share(request: Request, layout: Layout, most: float, cards: Sequence[Card]) -> float:
    """Return the share of each card that the engine is given."""
    usual = layout.takes.share
    if request.service.gpu_memory_utilization is not None:
        return request.service.gpu_memory_utilization
    if isinstance(usual, FixedShare):
        return round(min(most, 1 - _used(cards)), 2)
    own = min(beside(usual, request.model.network, layout, card) for card in cards)
    return max(0.0, round(own - _used(cards), 3))


def beside(rows: Sequence[Kept], network: Network, layout: Layout, card: Card) -> float:
    """Return the share for weights and cache that is left beside what is kept, to three digits.

    Kept are 512 MiB, 1.5 for each token of a chunk, 2 for each request of the largest graph, 8 for
    each graph of prefill (1536 for all of them with MLA), and 1 GiB for every eight cards of a
    replica; with data parallel attention, for each request and group of cards, 3 or 4.5; at least
    10 GiB on cards above 60, unless its chunks are smaller than usual.
    """
    row = next(row for row in rows if card.total >= row.gib * GIB)
    largest = row.batches[layout.tensor_parallel >= 4]
    batch = min(largest, layout.sequences or largest)
    prefill = 1536 if network.kv_lora_rank is not None else row.graphs * 8
    kept = (512 + batch * 2 + prefill) * MIB + (layout.chunk or row.chunk) * 3 * MIB // 2
    if layout.data_parallel > 1:
        padding = 9 if batch > _LARGE_BATCH else 6
        kept += batch * layout.data_parallel * padding * MIB // 2
    kept += layout.tensor_parallel * layout.pipeline_parallel * GIB // 8
    if card.total > 60 * GIB and layout.chunk is None:
        kept = max(kept, 10 * GIB)
    return round(1 - kept / card.total, 3)


def _most_requests(request: Request, takes: FillsCards, cards: Sequence[Card], copies: int) -> int:
    """Return the requests that are admitted at most, all copies together."""
    service = request.service
    if service.parallel is not None:
        return service.parallel
    if service.performance == "latency":
        return _LATENCY_REQUESTS
    return copies * min(step_of(takes, card).sequences for card in cards)


def fewer_requests(
    request: Request, attempt: Attempt, most: float, cards: Sequence[Card]
) -> Layout | None:
    """Return the layout for half the requests, where the cache is for fewer than are admitted.

    Each request that is admitted takes some of the memory that the cache could have.
    """
    layout = attempt.layout
    held, sequences = admitted(request, attempt)[1], layout.sequences or 1
    ranks = len(attempt.groups) * layout.data_parallel
    if request.service.parallel is not None or sequences == 1 or held >= sequences * ranks:
        return None
    fewer = replace(layout, sequences=sequences // 2, moe_backend=None)
    return replace(fewer, share=_share(request, fewer, most, cards))


def admitted(request: Request, attempt: Attempt) -> tuple[int, int]:
    """Return the context, and the requests that the caches are for."""
    service, layout = request.service, attempt.layout
    tokens, copy = min(attempt.tokens), min(attempt.tokens) * layout.data_parallel
    fixed = fixed_cost_tokens(request.model, layout)
    held = [steps for steps in request.contexts if tokens >= steps + fixed]
    roomy = [steps for steps in held if copy >= FULL_REQUESTS * (steps + fixed)]
    context = next(iter(roomy or held), request.contexts[-1])
    share = _SHORTER[service.performance]
    return context, sum(attempt.tokens) * share // (context + share * fixed) if held else 1


def _used(cards: Sequence[Card]) -> float:
    """Return the largest share of a card used by others, rounded up to a full percent.

    A few MiB more then do not prevent a start.
    """
    return max(math.ceil(card.used / card.visible * 100) / 100 for card in cards)
