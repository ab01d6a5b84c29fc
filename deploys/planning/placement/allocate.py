"""Allocation of a machine's cards and host memory to its services."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache

from deploys.planning.engines import compatibility
from deploys.planning.engines.base import DealsLayers, FillsCards
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.hardware.numa import host_memory
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Service
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.model import Model
from deploys.planning.placement.choice import Placement, Request
from deploys.planning.placement.cpu import place_on_cpu
from deploys.planning.placement.layer_offload import place_layers
from deploys.planning.placement.memory import GIB, MIB, Card
from deploys.planning.placement.sharded import place_sharded

Wanted = tuple[Service, Model, int]

# What the cache should be of weights and cache together before copies are made: about three tenths,
# such that a 7B in 16 bits has a card of 24 GB to itself and a 14B two, as public tables advise.
_COMFORT = 0.28
# Of the host's memory, for its system and everything that is not ours.
_SYSTEM = 0.05
# Of all memory, what may be taken for good; beyond, weights stay pages of a file that can give way.
_READ = 0.85
# What llama-server keeps of answered prompts in host memory (--cache-ram): its own default, or this
# part of a small host, in whole steps, so that a kernel which counts a little less changes nothing.
_PROMPTS, _PROMPTS_PART, _PROMPTS_STEP = 8 * GIB, 16, 256 * MIB


def place(
    service: Service,
    model: Model,
    size: int,
    gpu: Accelerator | None,
    cards: Sequence[Card],
    machine: Machine,
) -> Placement:
    """Return the placement of a single service; `size` is the bytes of the model's files."""
    return place_all([(service, model, size)], gpu, cards, machine)[0]


def place_all(
    services: Sequence[Wanted],
    gpu: Accelerator | None,
    cards: Sequence[Card],
    machine: Machine,
    reserved: int = 0,
) -> tuple[Placement, ...]:
    """Return the placements of all services of a machine, in order; no card is used twice.

    First each service gets one replica, or as many as it asks for, the largest weights first; then
    the remaining cards become further replicas. If a service then has no place, all are placed
    again with smaller caches.

    + reserved: bytes of host memory that are for something else
    """
    host = int(machine.memory * (1 - _SYSTEM))
    if gpu is not None and gpu.shares_host:
        # What its cards have is taken already, and of the rest the system has its part.
        host = int(machine.memory * _SYSTEM)
    host -= reserved
    stack = stack_of(gpu, {service.engine for service, _, _ in services})

    def variants(service: Service, model: Model) -> tuple[Model, ...]:
        return tuple(
            other
            for other in CATALOGUE.values()
            if (other.network.name, other.format) == (model.network.name, model.format)
            and not compatibility.refusals(service, other, gpu, stack, machine)
        )

    requests = [
        Request(
            service=service,
            model=model,
            size=size,
            gpu=gpu,
            cards=tuple(cards),
            links=machine.links,
            host=host,
            copies=service.replicas or 1,
            comfort=_COMFORT if model.network.causal else 0.0,
            backend=stack.backend,
            variants=variants(service, model),
        )
        for service, model, size in services
    ]
    placements = _place_each(requests)
    if len(requests) > 1 and any(placement.refusals for placement in placements):
        modest = [replace(request, comfort=0.0) for request in requests]
        content = _place_each(modest)
        if _refused(content) < _refused(placements):
            requests, placements = modest, content
    grown = _add_replicas(requests, placements)
    writing = {request.service.name for request in requests if request.task == "generate"}
    grown = _with_prompt_cache(grown, writing, machine.memory, host)
    return tuple(_with_host_memory(grown, cards, machine, reserved))


def _place_each(requests: Sequence[Request]) -> list[Placement]:
    """Place each service on what those before it left, the largest first."""
    placements: dict[int, Placement] = {}
    # Servers of one model map the same file, so what they read of it is in memory once.
    mapped: dict[str, int] = {}
    left, host = requests[0].cards if requests else (), requests[0].host if requests else 0
    order = sorted(range(len(requests)), key=lambda at: -requests[at].size)
    for at in order:
        there = mapped.get(requests[at].model.key, 0)
        placement = _place(replace(requests[at], cards=left, host=host, mapped=there))
        placements[at] = placement
        if not placement.refusals:
            left = tuple(card for card in left if card.index not in placement.cards)
            weights = placement.ledger.host.get("weights", 0)
            host -= sum(placement.ledger.host.values()) - min(weights, there)
            mapped[requests[at].model.key] = max(there, weights)
    return [placements[at] for at in range(len(requests))]


def _add_replicas(requests: Sequence[Request], placements: Sequence[Placement]) -> list[Placement]:
    """Add replicas on the remaining cards, in turn, to services that do not set `replicas`."""
    grown = list(placements)
    taken = {index for placement in grown for index in placement.cards}
    left = [card for card in (requests[0].cards if requests else ()) if card.index not in taken]
    waiting = [
        at
        for at, request in enumerate(requests)
        if isinstance(request.takes, FillsCards)
        and request.service.replicas is None
        and request.machines == 1
        and not grown[at].refusals
    ]
    while waiting:
        at = waiting.pop(0)
        request, before = requests[at], grown[at]
        own = tuple(c for c in request.cards if c in left or c.index in before.cards)
        cut = before.tensor_parallel, before.pipeline_parallel
        if len(own) < cut[0] * cut[1] * (before.replicas + 1):
            continue
        after = _place(replace(request, cards=own, copies=before.replicas + 1, cut=cut))
        if after.refusals:
            continue
        grown[at] = after
        left = [card for card in own if card.index not in after.cards]
        waiting.append(at)
    return grown


def _with_prompt_cache(
    placements: Sequence[Placement], writing: Collection[str], memory: int, host: int
) -> list[Placement]:
    """Add prompt caches to the placements of engines that have one, unless host memory is short.

    + writing: services that write answers; others begin each text anew

    Its size does not depend on what else is served, or adding a service would restart the others.
    """
    placed = [each for each in placements if not each.refusals]
    serving = [each for each in placed if _keeps_prompts(each) and each.service in writing]
    size = min(_PROMPTS, memory // _PROMPTS_PART)
    size -= size % _PROMPTS_STEP
    if size * len(serving) > host - sum(sum(each.ledger.host.values()) for each in placed):
        return list(placements)
    return [
        replace(each, ledger=replace(each.ledger, host={**each.ledger.host, "prompt cache": size}))
        if each in serving
        else each
        for each in placements
    ]


def _with_host_memory(
    placements: Sequence[Placement], cards: Sequence[Card], machine: Machine, reserved: int
) -> list[Placement]:
    """Add how each engine that can be told has what stays in host memory, the largest first.

    One node alone must hold it beside all that the system has, and beside a share of the others.
    """
    chosen = list(placements)
    numa = {card.index: card.numa for card in cards}
    sizes = [0 if each.refusals else sum(each.ledger.host.values()) for each in placements]
    system = int(machine.memory * _SYSTEM) + reserved
    left = {node.index: node.memory - system for node in machine.nodes}
    for at in sorted(range(len(placements)), key=lambda at: -sizes[at]):
        placement, takes = placements[at], ENGINES[placements[at].engine].takes
        told = isinstance(takes, DealsLayers) and takes.chooses_memory
        if not told or placement.refusals or not placement.computes_on_host:
            continue
        others = (sum(sizes) - sizes[at]) // machine.numa_nodes
        memory, why = host_memory(
            machine,
            sizes[at],
            {node: size - others for node, size in left.items()},
            {node for node in map(numa.get, placement.cards) if node is not None},
            shared=any(_maps(each, placement.model) for each in chosen if each is not chosen[at]),
            tight=sum(sizes) > machine.memory * _READ,
        )
        if memory.policy == "bind":
            left[memory.nodes[0]] -= sizes[at]
        reasons = (*placement.reasons, why) if why else placement.reasons
        chosen[at] = replace(placement, host_memory=memory, reasons=reasons)
    return chosen


def _maps(placement: Placement, model: str) -> bool:
    """Return whether a server has weights of this model in host memory."""
    there = placement.ledger.host.get("weights", 0)
    return placement.model == model and bool(there) and not placement.refusals


def _keeps_prompts(placement: Placement) -> bool:
    takes = ENGINES[placement.engine].takes
    return isinstance(takes, DealsLayers) and takes.prompt_cache


# Machines of one kind are asked about in the same words, a hundred of them in one run.
@lru_cache(maxsize=1024)
def _place(request: Request) -> Placement:
    takes = request.takes
    if isinstance(takes, DealsLayers):
        return place_layers(request, takes)
    if takes.cpu_build and request.gpu is None:
        return place_on_cpu(request, takes)
    return place_sharded(request, takes)


def _refused(placements: Sequence[Placement]) -> int:
    return sum(bool(placement.refusals) for placement in placements)
