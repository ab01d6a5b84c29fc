"""Placement in host memory for engines that fill cards and have a build for machines without.

vLLM keeps one copy of the weights and one cache for all requests, and computes on the CPU cores.
Source: vLLM 0.32, platforms/cpu.py and v1/worker/cpu_worker.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from deploys.planning.adapters.slots import slots_of
from deploys.planning.engines.base import FillsCards
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.cache import cache_bytes
from deploys.planning.models.network import parts
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
from deploys.planning.placement.division import divides
from deploys.planning.placement.memory import (
    GIB,
    Layout,
    Ledger,
    card_weights,
    fixed_cost_tokens,
    stages_of,
    token_bytes,
)
from deploys.planning.quantity import human

# Three Python processes with PyTorch, seen with a tiny model: 2.0 GiB in all.
_PROCESSES = 2 * GIB
# Tokens are kept in blocks of this many.
_BLOCK = 128
# Contexts that we choose, the longest and what is worth more than further requests; and requests of
# full length that the cache has room for.
_LONGEST, _MODEST = 32_768, 8192
_FULL_REQUESTS = (4, 2, 1)
# Requests are admitted for a cache that each fills to a quarter, and this many at most.
_SHORTER, _MOST_REQUESTS = 4, 32


def place_on_cpu(request: Request, takes: FillsCards) -> Placement:
    """Return the placement of one service, or its refusals."""
    if wrong := _wrong(request):
        return refused(request, wrong)
    attempts = _attempts(request, takes)
    for attempt in attempts:
        if _over(request, attempt) <= 0:
            return attempt
    closest = attempts[-1]
    variants = (other for other in smaller_variants(request) if not _wrong(other))
    fitting = next(
        (other for other in variants if _over(other, _attempts(other, takes)[-1]) <= 0), None
    )
    return refused(request, [_does_not_fit(request, takes, closest, fitting)], closest)


def _wrong(request: Request) -> list[Refusal]:
    wrong = [*context_too_long(request), *ignored_settings(request).values()]
    tensor, pipeline = _cut(request)
    if request.machines == 1:
        return wrong
    if tensor * pipeline != request.machines:
        wrong.append(
            Refusal(
                f"{request.name}: tensor_parallel {tensor} times pipeline_parallel {pipeline} are"
                f" not the {request.machines} machines that it is cut over",
                f"Set one of them to {request.machines}, or leave both out",
            )
        )
    elif not divides(request.model, tensor) or pipeline > request.model.network.layers:
        wrong.append(
            Refusal(
                f"{request.name}: {request.model.key} cannot be cut over {request.machines}"
                f" machines with tensor_parallel {tensor} and pipeline_parallel {pipeline}",
                "Set the other of them to that number, or set fewer machines",
            )
        )
    return wrong


def _cut(request: Request) -> tuple[int, int]:
    """Return tensor and pipeline parallel sizes over the machines; each computes by itself."""
    service, machines = request.service, request.machines
    if machines == 1:
        return 1, 1
    tensor = service.tensor_parallel
    if tensor is None:
        tensor = max(1, machines // (service.pipeline_parallel or machines))
    return tensor, service.pipeline_parallel or max(1, machines // tensor)


def _attempts(request: Request, takes: FillsCards) -> list[Placement]:
    return [_placement(request, takes, *size) for size in _sizes(request)]


def _sizes(request: Request) -> Iterator[tuple[int, int]]:
    """Yield context and number of full-length requests to try, the preferred first."""
    service = request.service
    contexts = [c for c in request.contexts if c <= _LONGEST or c == service.context]
    most = min(service.parallel or _FULL_REQUESTS[0], _FULL_REQUESTS[0])
    for enough in (True, False):
        for full in (number for number in _FULL_REQUESTS if number <= most):
            for context in contexts:
                if (context >= min(_MODEST, contexts[0])) == enough:
                    yield context, full


def _placement(request: Request, takes: FillsCards, context: int, full: int) -> Placement:
    service, model = request.service, request.model
    slots = slots_of(service)
    tensor, pipeline = _cut(request)
    layout = Layout(
        takes=takes,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        kv_cache="auto",
        share=0.0,
        machines=request.machines,
    )
    of_one = -(-(context + fixed_cost_tokens(model, layout)) // _BLOCK) * _BLOCK
    tokens = of_one * full
    # Of the machine that has most of it; where there is one, it has all.
    weights, a_token = request.size, cache_bytes(model)
    if request.machines > 1:
        split, stages = parts(model, request.size), stages_of(model.network, pipeline)
        weights = max(card_weights(model, split, stage, layout) for stage in stages)
        a_token = max(token_bytes(model, layout, stage) for stage in stages)
    parallel = service.parallel or min(_MOST_REQUESTS, full * _SHORTER)
    return Placement(
        service=service.name,
        engine=service.engine,
        model=model.key,
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        replicas=1,
        groups=(),
        context=context,
        parallel=parallel,
        kv_cache=service.kv_cache,
        gpu_memory_utilization=None,
        gpu_layers=None,
        cpu_experts=None,
        ledger=Ledger(
            cards=(),
            host={
                "weights": weights,
                **({"adapters": slots.of_card(tensor, pipeline) + slots.size} if slots else {}),
                "KV cache": tokens * a_token,
                "processes": _PROCESSES,
            },
            disk=request.size,
            kv_bytes=a_token,
            kv_tokens=tokens if a_token else 0,
        ),
        machines=request.machines,
        reasons=tuple(_reasons(request, context, parallel, full)),
        warnings=tuple(estimate_warnings(request)),
    )


def _over(request: Request, attempt: Placement) -> int:
    return sum(attempt.ledger.host.values()) - request.host


def _reasons(request: Request, context: int, parallel: int, full: int) -> Iterator[str]:
    if request.machines > 1:
        yield f"A part of the model in the memory of each of {request.machines} machines"
    else:
        yield "The whole model in host memory, as there is no card"
    if not request.model.network.causal:
        yield "An encoder keeps nothing of a text, so there is no cache"
        return
    held = f"the cache holds {count(full, 'request')} of full length"
    if request.service.context is None:
        yield f"Context {context}: {held}"
    if request.service.parallel is None:
        yield f"{parallel} requests at a time: {held}, or more shorter ones"
    elif full < parallel:
        yield f"{parallel} requests at a time, but {held}; beyond that, long ones wait"


def _does_not_fit(
    request: Request, takes: FillsCards, closest: Placement, fitting: Request | None
) -> Refusal:
    over = _over(request, closest)

    def too_long(context: int) -> bool:
        return _over(request, _placement(request, takes, context, 1)) > 0

    steps = range(_BLOCK, request.service.context or 0, _BLOCK)
    fits = bisect_left(steps, True, key=too_long)
    if fits:
        return Refusal(
            f"{request.name}: a cache for {closest.context} tokens is {human(over)} too large for"
            " the host's memory",
            f"Set context to {steps[fits - 1]} or less",
        )
    return Refusal(
        f"{request.name}: {request.model.key} is {human(over)} too large for the host's memory",
        size_hint(fitting, request.size - over, "more memory"),
    )
