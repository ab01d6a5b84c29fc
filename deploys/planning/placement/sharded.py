"""Placement for engines that preallocate their cards.

The smallest group of cards that leaves enough for the cache, then as many replicas as there are
cards for: two replicas on one card each serve more than one on two. Source: GPUStack's performance
lab (Qwen3-235B on 8 A100, two replicas on four 59 % over one on eight) and a table of 2 RTX 3090
(14B in 4 bits, two replicas 382 tokens a second, one on two cards 214).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from deploys.planning.engines.base import FillsCards
from deploys.planning.engines.filled_cards import FixedShare
from deploys.planning.group import shapes as over_machines
from deploys.planning.models.cache import cache_bytes
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.placement import attention, floors
from deploys.planning.placement.choice import Placement, Request, refused, smaller_variants
from deploys.planning.placement.division import may_be_cut
from deploys.planning.placement.interconnect import assign_cards, islands
from deploys.planning.placement.layouts import (
    FULL_REQUESTS,
    TIGHTER,
    USUAL,
    admitted,
    fewer_requests,
    layout_of,
)
from deploys.planning.placement.memory import CardLedger, Layout, Ledger, fixed_cost_tokens
from deploys.planning.placement.parallelism import (
    TIGHT,
    Attempt,
    does_not_fit,
    reasons,
    warnings,
    wrong_settings,
)
from deploys.planning.placement.sharded_memory import chunk, converting, copy_of

# By how much a request has to be answered sooner for more cards a copy, instead of more copies.
_WORTH_CARDS = 1.25


def place_sharded(request: Request, takes: FillsCards) -> Placement:
    """Return the placement of one service, or its refusals."""
    if wrong := wrong_settings(request, takes):
        return refused(request, wrong)
    attempt = _best(request, takes)
    if _fits(request, attempt):
        return _placement(request, attempt)
    variants = [other for other in smaller_variants(request) if not wrong_settings(other, takes)]
    fitting = next((other for other in variants if _fits(other, _best(other, takes))), None)
    refusal = does_not_fit(request, attempt, fitting)
    return refused(request, [refusal], _placement(request, attempt))


def _best(request: Request, takes: FillsCards) -> Attempt:
    """Return the first attempt with enough cache, else the largest that fits, else the closest.

    For latency it is the quickest with enough cache.
    """
    usual = takes.share
    tries = (usual.usual, usual.most) if isinstance(usual, FixedShare) else (USUAL, TIGHTER)
    for most in tries:
        attempts, comfortable = [], []
        for tensor, pipeline in _shapes(request, takes):
            attempt = _attempt(request, takes, tensor, pipeline, most)
            attempts.append(attempt)
            if _fits(request, attempt) and attempt.room >= request.comfort:
                comfortable.append(attempt)
                if request.service.performance != "latency":
                    return attempt
        if comfortable:
            return _quickest(request, comfortable)
        fitting = [attempt for attempt in attempts if _fits(request, attempt)]
        if fitting:
            cards = max(len(attempt.groups[0]) for attempt in fitting)
            all_of_them = [each for each in fitting if len(each.groups[0]) == cards]
            largest = all_of_them[0]
            if request.service.performance == "latency":
                largest = _quickest(request, all_of_them)
            if largest.cache_share >= TIGHT or most == tries[-1]:
                return largest
    return max(attempts, key=lambda attempt: (min(attempt.tokens), -attempt.over))


def _quickest(request: Request, attempts: Sequence[Attempt]) -> Attempt:
    """Return the attempt that one request waits least for; more cards have to be worth it."""

    def seconds(attempt: Attempt) -> float:
        assert request.gpu is not None
        return floors.token_seconds(request.model, request.size, request.gpu, attempt.layout)

    best = attempts[0]
    for attempt in attempts[1:]:
        gain = seconds(best) / seconds(attempt)
        if gain > (1 if len(attempt.groups[0]) == len(best.groups[0]) else _WORTH_CARDS):
            best = attempt
    return best


def _shapes(request: Request, takes: FillsCards) -> Iterator[tuple[int, int]]:
    """Yield tensor and pipeline parallel sizes to try, those with few cards first.

    Over NVLink, tensor parallelism over all cards it connects; over PCIe, over pairs, with a
    pipeline of these (8 L4, 70B in FP8: 308 tokens a second as pairs in a pipeline of four, 261 as
    fours in a pipeline of two; substratus.ai). Source: vLLM, parallelism_scaling.md.
    """
    service, model = request.service, request.model
    if request.cut is not None:
        yield request.cut
        return
    together = max(len(island) for island in islands(request.cards, request.links, request.gpu))
    if request.machines > 1:
        yield from over_machines.shapes(request, takes, together)
        return
    cards = len(request.cards) // (service.replicas or request.copies or 1)
    sizes = [2**power for power in range(cards.bit_length())]
    for size in sorted({*sizes, cards, _named_size(request, cards)}):
        shapes = [
            (tensor, size // tensor)
            for tensor in range(1, size + 1)
            if size % tensor == 0 and may_be_cut(service, model, tensor, size // tensor)
        ]
        best = max(2, together)
        yield from sorted(shapes, key=lambda shape: (shape[0] > best, abs(best - shape[0])))


def _named_size(request: Request, cards: int) -> int:
    """Return the cards per replica that the operator asks for, which need not be a power of two."""
    service = request.service
    named = (service.tensor_parallel or 1) * (service.pipeline_parallel or 1)
    return min(cards, named)


def _attempt(
    request: Request, takes: FillsCards, tensor: int, pipeline: int, share: float
) -> Attempt:
    """Return the attempt with as many replicas as asked for, or as fit on the freest cards."""
    most = len(request.cards) // (tensor * pipeline)
    # Machines that serve a model together have one copy of it, and more are refused.
    wanted = 1 if request.machines > 1 else request.service.replicas or request.copies
    together = islands(request.cards, request.links, request.gpu)
    for copies in [wanted] if wanted else range(most, 0, -1):
        chosen = over_machines.freest_of_each(request, copies * tensor * pipeline)
        groups = assign_cards(chosen, together, tensor=tensor, pipeline=pipeline, copies=copies)
        attempts = []
        ways = attention.ways(request, takes, tensor, pipeline, copies)
        ways = over_machines.ways(request, (tensor, pipeline), ways)
        for way in ways:
            layout = layout_of(request, takes, (tensor, pipeline, copies), way, share, chosen)
            made = _loaded(request, layout, groups)
            while fewer := fewer_requests(request, made, share, chosen):
                made = _loaded(request, fewer, groups)
            attempts.append(made)
        attempt = _preferred(request, attempts)
        if _fits(request, attempt):
            break
    return attempt


def _preferred(request: Request, attempts: Sequence[Attempt]) -> Attempt:
    """Return the first attempt whose caches are large enough, beside the largest of them."""
    fitting = [attempt for attempt in attempts if _fits(request, attempt)]
    if not fitting:
        return max(reversed(attempts), key=lambda attempt: (min(attempt.tokens), -attempt.over))
    if request.service.performance == "latency":
        longest = request.contexts[0] + fixed_cost_tokens(request.model, attempts[0].layout)
        enough = FULL_REQUESTS * longest
    else:
        enough = max(sum(attempt.tokens) for attempt in fitting) // 2
    largest = max(fitting, key=lambda attempt: sum(attempt.tokens))
    return next((attempt for attempt in fitting if sum(attempt.tokens) >= enough), largest)


def _loaded(request: Request, layout: Layout, groups: tuple[tuple[int, ...], ...]) -> Attempt:
    """Return the attempt with kernels that can be loaded."""
    attempt = _dealt(request, layout, groups)
    if all(ledger.loading <= ledger.total for ledger in attempt.ledgers):
        return attempt
    if not converting(request.model, parts(request.model, request.size), layout):
        return attempt  # Other kernels would take as much.
    return _dealt(request, replace(layout, moe_backend="marlin"), groups)


def _dealt(request: Request, layout: Layout, groups: tuple[tuple[int, ...], ...]) -> Attempt:
    by_index = {card.index: card for card in request.cards}
    ledgers: list[CardLedger] = []
    tokens = []
    for group in groups:
        own, held = copy_of(
            request.model, request.size, layout, [by_index[index] for index in group]
        )
        ledgers += own
        tokens += [held] * layout.data_parallel
    return Attempt(layout=layout, groups=groups, ledgers=tuple(ledgers), tokens=tuple(tokens))


def _fits(request: Request, attempt: Attempt) -> bool:
    longest = request.contexts[-1] + fixed_cost_tokens(request.model, attempt.layout)
    return attempt.over == 0 and min(attempt.tokens) >= longest


def _placement(request: Request, attempt: Attempt) -> Placement:
    service, model, layout = request.service, request.model, attempt.layout
    cards = {card.index: card for card in request.cards}
    context, _ = admitted(request, attempt)
    copies = len(attempt.groups)
    parallel = service.parallel or copies * layout.data_parallel * (layout.sequences or 1)
    return Placement(
        service=service.name,
        engine=service.engine,
        model=model.key,
        tensor_parallel=layout.tensor_parallel,
        pipeline_parallel=layout.pipeline_parallel,
        replicas=copies,
        groups=attempt.groups,
        context=context,
        parallel=parallel,
        kv_cache=service.kv_cache,
        gpu_memory_utilization=layout.share,
        gpu_layers=None,
        cpu_experts=None,
        ledger=Ledger(
            cards=attempt.ledgers,
            host={"adapters": layout.slots.size} if layout.slots else {},
            disk=request.size,
            kv_bytes=_kv_of_copy(model, layout),
            kv_tokens=sum(attempt.tokens) if model.network.causal else 0,
        ),
        context_parallel=layout.context_parallel,
        data_parallel=layout.data_parallel,
        expert_parallel=layout.experts_whole,
        chunk=chunk(layout, cards[attempt.groups[0][0]]) if layout.experts_whole else layout.chunk,
        mtp=layout.mtp,
        moe_backend=layout.moe_backend,
        machines=layout.machines,
        reasons=tuple(reasons(request, attempt, context, parallel)),
        warnings=tuple(warnings(request, attempt)),
    )


def _kv_of_copy(model: Model, layout: Layout) -> int:
    """Return the bytes of one token on all cards of a replica.

    With MLA, or with few key-value heads, several cards hold the same data.
    """
    a_card = cache_bytes(model, layout.kv_cache, tensor_parallel=layout.attention_parallel)
    holding = layout.attention_parallel // layout.context_parallel
    return a_card * holding
