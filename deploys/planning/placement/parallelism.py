"""How a model can be split for engines that fill their cards, and why it is split so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploys.planning.engines.base import FillsCards
from deploys.planning.engines.filled_cards import FixedShare
from deploys.planning.engines.registry import ENGINES
from deploys.planning.group import shapes as over_machines
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.placement import attention
from deploys.planning.placement.choice import (
    Request,
    context_too_long,
    count,
    estimate_warnings,
    ignored_settings,
    size_hint,
)
from deploys.planning.placement.division import divides_for, group_of
from deploys.planning.placement.interconnect import islands
from deploys.planning.placement.memory import (
    CardLedger,
    Layout,
    fixed_cost_tokens,
    stages_of,
    token_bytes,
)
from deploys.planning.quantity import human

# Share of weights and cache below which a cache is worth a warning.
TIGHT = 0.1
# A context that is advised is a multiple of so many tokens.
_BLOCK = 256


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One split of a model, with its memory.

    + groups, tokens: cards of each replica, and tokens that each cache holds
    """

    layout: Layout
    groups: tuple[tuple[int, ...], ...]
    ledgers: tuple[CardLedger, ...]
    tokens: tuple[int, ...]

    @property
    def cache_share(self) -> float:
        """Smallest share, over the cards, of the cache in weights and cache together."""
        return min(self.cache / (self.cache + ledger.lines["weights"]) for ledger in self.ledgers)

    @property
    def room(self) -> float:
        """The same, as if each card of a copy had to hold the cache of all the others."""
        layout = self.layout
        once = layout.context_parallel * layout.data_parallel
        cache = self.cache * once
        return min(cache / (cache + ledger.lines["weights"]) for ledger in self.ledgers)

    @property
    def cache(self) -> int:
        """Smallest cache of any card, in bytes."""
        return min(ledger.lines.get("KV cache", 0) for ledger in self.ledgers)

    def full(self, tokens: int) -> int:
        """Return how many requests of so many tokens the caches hold."""
        return sum(held // tokens for held in self.tokens)

    @property
    def over(self) -> int:
        """Bytes by which the fullest card is overcommitted."""
        return max(0, *(-ledger.free for ledger in self.ledgers))


def wrong_settings(request: Request, takes: FillsCards) -> list[Refusal]:
    """Return refusals of settings that are impossible whatever the memory."""
    service, model, cards = request.service, request.model, len(request.cards)
    network = model.network
    if not cards:
        return [
            Refusal(
                f"{request.name}: {service.engine} needs a GPU, and there is none left for it",
                "Serve it with llama.cpp, or on a machine with more GPUs",
            )
        ]
    wrong = [*context_too_long(request), *ignored_settings(request).values()]
    tensor, pipeline = service.tensor_parallel or 1, service.pipeline_parallel or 1
    if not divides_for(takes, model, tensor, request.gpu):
        possible = [
            str(n) for n in range(1, cards + 1) if divides_for(takes, model, n, request.gpu)
        ]
        group, _ = group_of(model)
        scales = f" with a scale for {group} weights" if group > 1 else ""
        wrong.append(
            Refusal(
                f"{request.name}: {tensor} cards cannot share the {network.heads} heads"
                f" ({network.kv_heads} of keys and values) and matrices{scales} of {model.key}",
                f"Set tensor_parallel to one of {', '.join(possible)}, or leave it out",
            )
        )
    wrong += over_machines.wrong(request, takes)
    if pipeline > network.layers:
        wrong.append(
            Refusal(
                f"{request.name}: {model.key} has {network.layers} layers, too few for"
                f" {pipeline} pipeline stages",
                f"Set pipeline_parallel to {network.layers} or less, or leave it out",
            )
        )
    copies = service.replicas or request.copies or 1
    if tensor * pipeline * copies > cards:
        wrong.append(
            Refusal(
                f"{request.name}: {copies} copies of {tensor} x {pipeline} cards are"
                f" {tensor * pipeline * copies}, and there are {cards} for it",
                "Lower replicas, tensor_parallel or pipeline_parallel, or leave them out",
            )
        )
    return wrong


def does_not_fit(request: Request, attempt: Attempt, fitting: Request | None) -> Refusal:
    """Return a refusal with the bytes missing on the fullest card, and a variant that fits."""
    service, layout = request.service, attempt.layout
    cut = f"{layout.tensor_parallel} x {layout.pipeline_parallel}"
    if (
        attempt.over
        and service.gpu_memory_utilization is not None
        and _needs(request, attempt) <= 0
    ):
        used = max(ledger.lines.get("other processes", 0) for ledger in attempt.ledgers)
        return Refusal(
            f"{request.name}: gpu_memory_utilization {service.gpu_memory_utilization} of a card is"
            f" {human(attempt.over)} more"
            f" than other processes, which hold {human(used)}, leave of it",
            "Stop them, lower gpu_memory_utilization, or leave it out",
        )
    tokens = min(attempt.tokens) - fixed_cost_tokens(request.model, layout)
    context = request.contexts[-1]
    if _BLOCK <= tokens < context:
        fp8 = "" if layout.kv_cache == "fp8" else ", or kv_cache to fp8 for twice as many"
        return Refusal(
            f"{request.name}: a request of {context} tokens needs {human(_needs(request, attempt))}"
            f" more of a card than {request.model.key} on {cut} cards leaves",
            f"Set context to {tokens // _BLOCK * _BLOCK} or less{fp8}",
        )
    missing = _needs(request, attempt)
    cards = layout.tensor_parallel * layout.pipeline_parallel
    return Refusal(
        f"{request.name}: {request.model.key} with a cache for {context} tokens needs"
        f" {human(missing)} more than a card has, cut for {cut} of {len(request.cards)} cards",
        size_hint(fitting, request.size - missing * cards, "more or larger cards"),
    )


def reasons(request: Request, attempt: Attempt, context: int, parallel: int) -> Iterator[str]:
    """Yield the reason for each value that the operator left to the plan."""
    service, layout = request.service, attempt.layout
    tensor, pipeline = layout.tensor_parallel, layout.pipeline_parallel
    cards, copies = tensor * pipeline, len(attempt.groups)
    if not request.model.network.causal:
        yield "An encoder keeps nothing of a text, so there is no cache"
    elif layout.machines > 1:
        yield from over_machines.reasons(request, layout)
    elif service.tensor_parallel is None or (service.pipeline_parallel is None and pipeline > 1):
        room = f"room for the cache ({human(attempt.cache)} each)"
        few = (
            f"the fewest with {room}"
            if attempt.room >= request.comfort and service.performance != "latency"
            else f"with {room}"
        )
        yield f"{count(cards, 'card')} a copy, {few}"
    if service.tensor_parallel is None and tensor > 1 and layout.machines == 1:
        if service.performance == "latency":
            yield f"Tensor parallel {tensor}, so that one request waits least for each token"
        elif tensor <= _largest_island(request):
            yield f"Tensor parallel {tensor}, as these cards have links of their own"
        else:
            yield f"Tensor parallel {tensor} and no more, as these cards talk over PCIe"
    if service.pipeline_parallel is None and pipeline > 1 and layout.machines == 1:
        yield f"Pipeline of {pipeline}, which asks little of the link between its stages"
    if service.replicas is None and copies > 1:
        yield f"{copies} copies, as more copies answer more than larger ones"
    tokens = min(attempt.tokens)
    if service.context is None and request.model.network.causal:
        whose = "a card" if layout.data_parallel > 1 else "a copy"
        yield f"Context {context}: the cache of {whose} holds {tokens} tokens"
    full = attempt.full(context + fixed_cost_tokens(request.model, layout))
    held = f"the cache holds {count(full, 'request')} of full length"
    if not request.model.network.causal:
        pass
    elif service.parallel is None:
        yield f"{parallel} requests at a time: {held}, or more shorter ones"
    elif full < parallel:
        yield f"{parallel} requests at a time, but {held}; beyond that, long ones wait"
    if service.gpu_memory_utilization is None:
        yield f"{layout.share:.0%} of a card: {_share_of(request, attempt)}"
    if layout.mtp:
        yield "The layer that predicts one token more drafts, as latency is asked for"
    if layout.moe_backend is not None:
        yield (
            f"{layout.moe_backend.title()}'s kernels for the experts: to load those that vLLM"
            " prefers here takes more of a card than there is"
        )
    yield from attention.reasons(request, layout)
    if layout.expert_parallel > layout.tensor_parallel:
        yield (
            f"Copies share the experts, so each of {layout.expert_parallel} cards has some of them:"
            f" {request.title} has no other copies of such a model in one server"
        )


def warnings(request: Request, attempt: Attempt) -> Iterator[str]:
    """Yield warnings about placements that work, but not well."""
    layout = attempt.layout
    largest = _largest_island(request)
    if layout.machines > 1:
        yield from over_machines.warnings(request, layout)
    elif layout.tensor_parallel > max(2, largest) and layout.performance != "latency":
        yield (
            f"{request.name}: tensor_parallel {layout.tensor_parallel} goes over PCIe, where a"
            " pipeline of pairs is faster"
        )
    if attempt.room < TIGHT and request.model.network.causal:
        yield (
            f"{request.name}: {human(attempt.cache)} of a card are left for the cache, which is"
            f" {min(attempt.tokens)} tokens of all requests together"
        )
    yield from estimate_warnings(request)


def _needs(request: Request, attempt: Attempt) -> int:
    """Return the bytes that the fullest card lacks for weights and one full-length request."""
    layout, model = attempt.layout, request.model
    stages = stages_of(model.network, layout.pipeline_parallel)
    a_token = max(token_bytes(model, layout, stage) for stage in stages)
    tokens = request.contexts[-1] + fixed_cost_tokens(model, layout)
    cache = a_token * -(-tokens // layout.context_parallel)
    lacking = []
    for ledger in attempt.ledgers:
        own = dict(ledger.lines)
        visible = ledger.total - own.pop("driver")
        own.pop("other processes", None)
        own.pop("KV cache", None)
        everything = layout.takes.share_of == "everything"
        counted = sum(own.values()) if everything else own["weights"]
        lacking.append(counted + cache - int(layout.share * visible))
        lacking.append(ledger.loading - ledger.total)
    return max(lacking)


def _share_of(request: Request, attempt: Attempt) -> str:
    if any("other processes" in ledger.lines for ledger in attempt.ledgers):
        return "what other processes leave"
    title, share = ENGINES[request.service.engine].title, attempt.layout.takes.share
    if layout_chunk := attempt.layout.chunk:
        return (
            f"more than {title}'s own, which leaves too little, with {layout_chunk} tokens of a"
            " prompt at once"
        )
    if isinstance(share, FixedShare) and attempt.layout.share > share.usual:
        return f"more than {title}'s own {share.usual:.0%}, which leaves too little"
    return f"{title}'s own default"


def _largest_island(request: Request) -> int:
    return max(len(island) for island in islands(request.cards, request.links, request.gpu))
