"""Placement for engines that assign whole layers to cards: llama.cpp, and engines built on it.

All layers on as few cards as hold them; else the experts of leading layers in host memory, as each
token uses few of them; else whole leading layers in host memory; without cards, everything.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace

from deploys.planning.adapters.slots import slots_of
from deploys.planning.engines.base import DealsLayers
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.cache import cache_bytes
from deploys.planning.placement.choice import (
    Placement,
    Request,
    context_too_long,
    count,
    estimate_warnings,
    ignored_settings,
    refused,
    size_hint,
    smaller_variants,
)
from deploys.planning.placement.memory import Card, Ledger, freest
from deploys.planning.placement.offload import STEP, Split, all_gpu_layers, server
from deploys.planning.quantity import human

# Where the operator names none: requests at a time, the longest context (a long prompt takes a
# server of this kind minutes), and the context that is worth more than further requests.
_PARALLEL = (4, 2, 1)
_LONGEST, _MODEST = 32_768, 8192
# What a refusal may advise: contexts in these steps, none that is of no use, and to leave out what
# the operator says of these.
_STEP_OF_ADVICE, _LEAST_CONTEXT = 256, 1024
_OPERATORS = ("gpu_layers", "cpu_experts", "pipeline_parallel", "parallel", "context")


def place_layers(request: Request, takes: DealsLayers) -> Placement:
    """Return the placement of one service, or its refusals."""
    if wrong := _wrong(request):
        return refused(request, wrong)
    placement = _best(request, takes)
    if _fits(request, placement):
        return placement
    variants = [other for other in smaller_variants(request) if not _wrong(other)]
    fitting = next((other for other in variants if _fits(other, _best(other, takes))), None)
    return refused(request, [_does_not_fit(request, takes, placement, fitting)], placement)


def _best(request: Request, takes: DealsLayers) -> Placement:
    """Return the first placement that fits, else the closest."""
    attempts = []
    for split, cards in _splits(request, takes):
        attempt = _placement(request, split, cards)
        if _fits(request, attempt):
            return attempt
        attempts.append(attempt)
    return min(attempts, key=lambda a: (max(0, _over(a)), _host_over(request, a)))


def _fits(request: Request, attempt: Placement) -> bool:
    return _over(attempt) <= 0 and _host_over(request, attempt) <= 0


def _wrong(request: Request) -> list[Refusal]:
    service, model, cards = request.service, request.model, len(request.cards)
    network = model.network
    ignored = ignored_settings(request)
    wrong = [*context_too_long(request), *ignored.values()]
    limits = {
        "pipeline_parallel": (max(1, cards), f"there are {cards} cards for it"),
        "gpu_layers": (
            all_gpu_layers(network) if cards else 0,
            f"{model.key} has {network.layers} and an output head" if cards else "there is no card",
        ),
        "cpu_experts": (
            network.layers if network.experts else 0,
            f"{model.key} has {network.layers} layers" if network.experts else "it has no experts",
        ),
    }
    for field, (most, why) in limits.items():
        value = getattr(service, field)
        if value is not None and value > most and field not in ignored:
            wrong.append(
                Refusal(
                    f"{request.name}: {field} is {value}, but {why}",
                    f"Set {field} to {most} or less, or leave it out",
                )
            )
    return wrong


def _splits(request: Request, takes: DealsLayers) -> Iterator[tuple[Split, Sequence[Card]]]:
    """Yield the splits to try: everything on cards, the fewest first; then less and less of it."""
    service, model = request.service, request.model
    network = model.network
    sizes, slots = list(_sizes(request)), slots_of(service)
    experts_at_home = takes.experts_in_host and network.experts > 0
    by_room = freest(request.cards)
    counts = range(1, (1 if experts_at_home else len(by_room)) + 1)
    if service.pipeline_parallel is not None and request.cards:
        counts = range(service.pipeline_parallel, service.pipeline_parallel + 1)

    def split(size: tuple[int, int], gpu_layers: int, cpu_experts: int, step: int = STEP) -> Split:
        return Split(
            context=size[0],
            parallel=size[1],
            kv_cache=service.kv_cache,
            gpu_layers=gpu_layers,
            cpu_experts=cpu_experts,
            embedding_on_card=takes.experts_in_host,
            # An encoder reads a text in one step.
            step=step if network.causal else size[0],
            adapters=slots.size if slots else 0,
            vulkan=request.backend == "Vulkan",
        )

    if not request.cards:
        yield from ((split(size, 0, service.cpu_experts or 0), ()) for size in sizes)
        return
    layers = all_gpu_layers(network) if service.gpu_layers is None else service.gpu_layers
    experts = service.cpu_experts or 0
    if service.cpu_experts is not None or not experts_at_home:
        for size in sizes:
            for most in counts:
                for step in takes.steps if experts else (STEP,):
                    yield split(size, layers, experts, step), _by_index(by_room[:most])
    modest = next((size for size in reversed(sizes) if size[0] >= _MODEST), sizes[-1])
    cards = _by_index(by_room[: counts[-1]])
    if service.cpu_experts is None and network.experts:
        for step in takes.steps:
            for experts in range(network.dense_layers + 1, network.layers + 1):
                if experts == network.layers or not experts_at_home:
                    yield split(modest, layers, experts, step), cards
    if service.gpu_layers is None:
        for layers in range(network.layers, -1, -1):
            yield split(modest, layers, experts), cards


def _by_index(cards: Sequence[Card]) -> list[Card]:
    return sorted(cards, key=lambda card: card.index)


def _sizes(request: Request) -> Iterator[tuple[int, int]]:
    """Yield context and parallel to try, the preferred first."""
    service = request.service
    contexts = [c for c in request.contexts if c <= _LONGEST or c == service.context]
    parallels = _PARALLEL if service.parallel is None else (service.parallel,)
    for enough in (True, False):
        for parallel in parallels:
            for context in contexts:
                if (context >= min(_MODEST, contexts[0])) == enough:
                    yield context, parallel


def _placement(request: Request, split: Split, cards: Sequence[Card]) -> Placement:
    service, model = request.service, request.model
    ledgers, host = server(model, request.size, split, cards)
    return Placement(
        service=service.name,
        engine=service.engine,
        model=model.key,
        tensor_parallel=1,
        pipeline_parallel=max(1, len(cards)),
        replicas=1,
        groups=(tuple(card.index for card in cards),) if cards else (),
        context=split.context,
        parallel=split.parallel,
        kv_cache=service.kv_cache,
        gpu_memory_utilization=None,
        gpu_layers=split.gpu_layers,
        cpu_experts=split.cpu_experts,
        chunk=split.step if split.step != STEP else None,
        ledger=Ledger(
            cards=ledgers,
            host=host,
            disk=request.size,
            kv_bytes=cache_bytes(model, service.kv_cache),
            kv_tokens=split.cells * split.parallel if model.network.causal else 0,
        ),
        reasons=tuple(_reasons(request, split, cards)),
        warnings=tuple(_warnings(request, split)),
    )


def _over(attempt: Placement) -> int:
    return max((-card.free for card in attempt.ledger.cards), default=0)


def _host_over(request: Request, attempt: Placement) -> int:
    shared = min(attempt.ledger.host.get("weights", 0), request.mapped)
    return sum(attempt.ledger.host.values()) - shared - request.host


def _reasons(request: Request, split: Split, cards: Sequence[Card]) -> Iterator[str]:
    service, model = request.service, request.model
    network = model.network
    whole = split.gpu_layers == all_gpu_layers(network)
    where = f"on {count(len(cards), 'card')}"
    if not cards:
        why = "the cards are given to other services" if request.gpu else "there is no card"
        yield f"All layers in host memory, as {why}"
    elif whole and not split.cpu_experts:
        yield f"All {network.layers} layers {where}, the fewest that hold them"
    elif whole:
        yield (
            f"All layers {where}, but the experts of the first {split.cpu_experts} in host"
            " memory, as a token passes through few of them"
        )
        if split.step > STEP and network.causal:
            yield (
                f"Prompts are read {split.step} tokens at a time, as the cards are sent those"
                " experts for each step"
            )
    else:
        yield f"{split.gpu_layers} of {all_gpu_layers(network)} layers {where}, all they hold"
    if service.context is None or service.parallel is None:
        own = ", since each has its cache to itself" if network.causal else ""
        yield (
            f"{count(split.parallel, 'request')} of {split.context} tokens, the most of what we try"
            f" that fits{own}"
        )
    if model.legacy_cache:
        yield (
            "A large cache: these files are from before llama.cpp could keep MLA's one vector"
            " instead of the keys and values of all heads"
        )


def _warnings(request: Request, split: Split) -> Iterator[str]:
    network = request.model.network
    if request.cards and split.gpu_layers < all_gpu_layers(network):
        yield (
            f"{request.name}: {all_gpu_layers(network) - split.gpu_layers} layers run on the CPU,"
            " which sets the pace"
        )
    yield from estimate_warnings(request)


def _does_not_fit(
    request: Request, takes: DealsLayers, closest: Placement, fitting: Request | None
) -> Refusal:
    over, host = _over(closest), _host_over(request, closest)
    what = f"{request.model.key} with a cache for {closest.parallel} x {closest.context} tokens"
    where = f"{human(over)} too large for the fullest card"
    missing = over * max(1, len(closest.ledger.cards)) if over > 0 else host
    if over <= 0:
        what = what if closest.ledger.host.get("KV cache", 0) > host else request.model.key
        where = f"{human(host)} too large for the host's memory"
    return Refusal(
        f"{request.name}: {what} is {where}",
        _settings_that_fit(request, takes, closest)
        or size_hint(fitting, request.size - missing, "more memory"),
    )


def _settings_that_fit(request: Request, takes: DealsLayers, closest: Placement) -> str:
    """Return what to set so that the service has a place, "" if no setting gives it one."""

    def fits(**changed: int | None) -> bool:
        other = replace(request, service=replace(request.service, **changed))  # type: ignore[arg-type]
        return not _wrong(other) and _fits(other, _best(other, takes))

    ways: list[str] = []
    if not fits(**{**dict.fromkeys(_OPERATORS), "context": _LEAST_CONTEXT, "parallel": 1}):
        return ""
    for field, step, least in (("context", _STEP_OF_ADVICE, _LEAST_CONTEXT), ("parallel", 1, 1)):
        steps = range(least, getattr(closest, field), step)
        fitting = bisect_left(steps, True, key=lambda value: not fits(**{field: value}))
        if fitting:
            ways.append(f"set {field} to {steps[fitting - 1]} or less")
    named = [field for field in _OPERATORS if getattr(request.service, field) is not None]
    for fields in [*([field] for field in named), named]:
        if named and fits(**dict.fromkeys(fields)):
            ways.append(f"leave {' and '.join(fields)} out")
            break
    sentence = ", or ".join(ways)
    return sentence[:1].upper() + sentence[1:]
