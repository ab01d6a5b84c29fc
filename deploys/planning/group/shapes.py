"""How a model is cut over the cards of several machines.

Tensor parallelism asks for much between its cards in every layer, and a pipeline for little: so the
first stays in a machine, and the second goes over them, unless cards attend to requests of their
own or the operator says otherwise. Source: vLLM, parallelism_scaling.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploys.planning.engines.base import FillsCards
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.placement import attention
from deploys.planning.placement.attention import Way
from deploys.planning.placement.choice import Request, count
from deploys.planning.placement.division import may_be_cut
from deploys.planning.placement.memory import Card, Layout, freest


def shapes(request: Request, takes: FillsCards, together: int) -> Iterator[tuple[int, int]]:
    """Yield tensor and pipeline parallel sizes to try, those with all cards first.

    + together: cards of a machine that have links of their own
    """
    service, model, machines = request.service, request.model, request.machines
    all_of_one = len(request.cards) // machines
    for cards in (all_of_one, *_fewer(all_of_one)):
        found = []
        for tensor in range(1, cards * machines + 1):
            pipeline, rest = divmod(cards * machines, tensor)
            if rest or not (cards % tensor == 0 or _may_cross(request, takes, tensor, pipeline)):
                continue
            if may_be_cut(service, model, tensor, pipeline):
                found.append((tensor, pipeline))
        best = max(2, together)
        found.sort(key=lambda shape: (shape[0] <= cards, shape[0] > best, abs(best - shape[0])))
        yield from found


def wrong(request: Request, takes: FillsCards) -> list[Refusal]:
    """Return a refusal of sizes that no cut over the machines has."""
    service, machines = request.service, request.machines
    if machines == 1 or any(shapes(request, takes, 1)):
        return []
    named = " and ".join(
        f"{field} {value}"
        for field, value in (
            ("tensor_parallel", service.tensor_parallel),
            ("pipeline_parallel", service.pipeline_parallel),
        )
        if value is not None
    )
    return [
        Refusal(
            f"{request.name}: {named or request.model.key} cannot be cut over {machines} machines"
            " with as many cards of each",
            f"Set pipeline_parallel to a multiple of {machines}, or tensor_parallel to one of"
            f" {len(request.cards)} and pipeline_parallel to 1, or leave both out",
        )
    ]


def ways(request: Request, cut: tuple[int, int], found: Sequence[Way]) -> tuple[Way, ...]:
    """Return the ways to share attention in which no cache lies on several machines.

    + cut: tensor and pipeline parallel sizes
    """
    tensor, pipeline = cut
    cards = tensor * pipeline // request.machines
    inside = [way for way in found if way[0] <= cards and (tensor // way[1] <= cards)]
    return tuple(inside) or (attention.WHOLE,)


def freest_of_each(request: Request, cards: int) -> list[Card]:
    """Return as many cards of each machine, of `cards` in all, those with the most memory left."""
    of_one = len(request.cards) // request.machines
    chosen: list[Card] = []
    for first in range(0, len(request.cards), of_one):
        own = request.cards[first : first + of_one]
        chosen += freest(own)[: cards // request.machines]
    return sorted(chosen, key=lambda card: card.index)


def reasons(request: Request, layout: Layout) -> Iterator[str]:
    """Yield why a model is cut so over several machines."""
    service, machines = request.service, layout.machines
    tensor, pipeline = layout.tensor_parallel, layout.pipeline_parallel
    yield f"{count(tensor * pipeline, 'card')}, as many on each of {machines} machines"
    if service.tensor_parallel is None and tensor > 1 and machines <= pipeline:
        yield f"Tensor parallel {tensor} stays in a machine"
    if service.pipeline_parallel is None and machines <= pipeline:
        yield f"Pipeline of {pipeline}, which asks little of the network between the machines"


def warnings(request: Request, layout: Layout) -> Iterator[str]:
    """Yield what is slow about it."""
    if layout.machines > layout.pipeline_parallel and layout.data_parallel == 1:
        yield (
            f"{request.name}: tensor_parallel {layout.tensor_parallel} waits in every layer for the"
            f" network between the machines, which a pipeline of {layout.machines} asks little of"
        )


def _fewer(cards: int) -> Iterator[int]:
    """Yield the powers of two below, the largest first."""
    for power in range((cards - 1).bit_length() - 1, -1, -1):
        yield 2**power


def _may_cross(request: Request, takes: FillsCards, tensor: int, pipeline: int) -> bool:
    """Whether cards of several machines may share layers: where told so, or to attend apart."""
    if request.service.tensor_parallel == tensor:
        return request.machines % pipeline == 0
    return (
        request.service.performance == "throughput"
        and request.model.network.kv_lora_rank is not None
        and not attention.why_no_data(request, takes, pipeline, 1)
    )
