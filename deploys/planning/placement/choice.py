"""Placements, and what the placement strategies share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from deploys.planning.engines.base import DealsLayers, FillsCards, ServiceSettings
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import Accelerator, GpuApi
from deploys.planning.hardware.numa import MAPPED, HostMemory
from deploys.planning.inputs.machine import GpuLink
from deploys.planning.inputs.profile import KvCache, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.cache import cache_bytes, count_caching_layers
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Task
from deploys.planning.placement.memory import Card, Ledger, ledger_of
from deploys.planning.quantity import human

# Contexts that are tried where the operator names none; and the longest of what is only read, as
# texts are cut into pieces before they become vectors.
CONTEXTS = (131_072, 65_536, 32_768, 16_384, 8192, 4096)
_LONGEST_READ = 8192
# Fields of Service that machines without cards can be told where they serve a model together.
_ACROSS_MACHINES = ("tensor_parallel", "pipeline_parallel")
# Fields of Service about answers that are written.
_OF_ANSWERS = ("reasoning_parser", "tool_parser", "sampling")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One service on one machine, and what it takes there.

    + tensor_parallel, pipeline_parallel, replicas: cards that share a layer, groups of such cards
      that layers are dealt to, and copies; llama.cpp deals layers to `pipeline_parallel` cards
    + groups: card indices of each copy, pipeline stage by pipeline stage; () where all runs on the
      CPU, and where the service is refused
    + context: tokens of one request; parallel: requests at the same time, all copies together
    + kv_cache: as the service has it
    + gpu_memory_utilization: share of a card that the engine may take; None for engines without
      that setting
    + gpu_layers, cpu_experts: llama.cpp's alone: layers on the cards (the output head counts as
      one, as it does for llama.cpp), and leading layers whose experts stay in host memory
    + host_memory: how it has what stays there
    + context_parallel: cards of a copy that hold one cache between them, a part of it each
    + data_parallel: groups of a copy's cards with attention and requests of their own
    + expert_parallel: experts are whole, and shared by the cards of all copies
    + chunk: tokens of a step, of each such group of cards; None leaves it to the engine
    + mtp: the layer that predicts one token more is read, and drafts
    + moe_backend: whose kernels multiply by the experts; None leaves it to the engine
    + machines: that a copy's cards are on, as many on each; `groups` and `ledger` are of all, until
      a plan keeps those of one (planning/group/share.py)
    + ledger: of what was chosen; of the closest attempt where it is refused
    + reasons: one sentence for each choice; warnings, refusals: what the operator must know
    """

    service: str
    engine: str
    model: str
    tensor_parallel: int
    pipeline_parallel: int
    replicas: int
    groups: tuple[tuple[int, ...], ...]
    context: int
    parallel: int
    kv_cache: KvCache
    gpu_memory_utilization: float | None
    gpu_layers: int | None
    cpu_experts: int | None
    ledger: Ledger
    host_memory: HostMemory = MAPPED
    context_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: bool = False
    chunk: int | None = None
    mtp: bool = False
    moe_backend: str | None = None
    machines: int = 1
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def ranks(self) -> int:
        """Groups of cards with requests of their own, all copies together."""
        return self.replicas * self.data_parallel

    @property
    def cards(self) -> tuple[int, ...]:
        return tuple(index for group in self.groups for index in group)

    @property
    def computes_on_host(self) -> bool:
        """Whether layer weights are in host memory, where the CPU reads them for every token."""
        return "KV cache" in self.ledger.host or bool(self.cpu_experts) or not self.groups

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with the free memory of each card added to its ledger."""
        data = asdict(replace(self, refusals=()))
        for card, ledger in zip(data["ledger"]["cards"], self.ledger.cards, strict=True):
            card["free"] = ledger.free
        data["refusals"] = [
            {"reason": refusal.reason, "hint": refusal.hint} for refusal in self.refusals
        ]
        return data


@dataclass(frozen=True, kw_only=True)
class Request:
    """One service to be placed, and the resources it may use.

    + size: bytes of the model's files
    + cards, host: cards and bytes of host memory not given to another service
    + mapped: bytes of the files that another server of the same model already maps into that memory
    + copies: replicas, None for as many as fit; comfort: share of the cache in weights and cache
    + cut: tensor and pipeline parallel sizes already chosen; backend: of a compiled engine
    + variants: other models of the same network and format that the engine serves here
    """

    service: Service
    model: Model
    size: int
    gpu: Accelerator | None
    cards: tuple[Card, ...]
    links: tuple[GpuLink, ...]
    host: int
    copies: int | None
    comfort: float
    mapped: int = 0
    cut: tuple[int, int] | None = None
    backend: GpuApi | None = None
    variants: tuple[Model, ...] = ()

    def __hash__(self) -> int:
        # A service has dictionaries, which have no hash; those that are alike in this are compared.
        return hash((self.service.name, self.model.key, self.size, self.cards, self.host))

    @property
    def name(self) -> str:
        return f"Service {self.service.name}"

    @property
    def title(self) -> str:
        return ENGINES[self.service.engine].title

    @property
    def machines(self) -> int:
        """Return how many machines serve it together; `cards` are theirs, machine by machine."""
        return self.service.machines

    @property
    def takes(self) -> FillsCards | DealsLayers:
        """Return what the engine takes of cards and host memory."""
        return ENGINES[self.service.engine].takes

    @property
    def task(self) -> Task:
        """Return what is asked of the service."""
        return self.service.task or self.model.network.task

    @property
    def contexts(self) -> tuple[int, ...]:
        """Contexts to try, longest first: the operator's, or the model's own and shorter ones."""
        if self.service.context is not None:
            return (self.service.context,)
        longest = self.model.network.context
        if self.task != "generate":
            longest = min(longest, _LONGEST_READ)
        return (longest, *(step for step in CONTEXTS if step < longest))


def refused(
    request: Request, refusals: Sequence[Refusal], closest: Placement | None = None
) -> Placement:
    """Return a placement without cards, with the ledger of the attempt that came closest."""
    service, model = request.service, request.model
    if closest is not None:
        return replace(closest, groups=(), reasons=(), refusals=tuple(refusals))
    return Placement(
        service=service.name,
        engine=service.engine,
        model=model.key,
        tensor_parallel=service.tensor_parallel or 1,
        pipeline_parallel=service.pipeline_parallel or 1,
        replicas=service.replicas or 1,
        groups=(),
        context=service.context or model.network.context,
        parallel=service.parallel or 1,
        kv_cache=service.kv_cache,
        gpu_memory_utilization=service.gpu_memory_utilization,
        gpu_layers=service.gpu_layers,
        cpu_experts=service.cpu_experts,
        ledger=Ledger(
            cards=tuple(ledger_of(card, {}) for card in request.cards),
            host={},
            disk=request.size,
            kv_bytes=cache_bytes(model, service.kv_cache),
            kv_tokens=0,
        ),
        refusals=tuple(refusals),
    )


def context_too_long(request: Request) -> list[Refusal]:
    """Return a refusal if the context exceeds what the model was trained for."""
    wanted, longest = request.service.context, request.model.network.context
    if wanted is None or wanted <= longest:
        return []
    return [
        Refusal(
            f"{request.name}: a context of {wanted} tokens is beyond the {longest} that"
            f" {request.model.key} was trained for",
            f"Set context to {longest} or less, or leave it out",
        )
    ]


def ignored_settings(request: Request) -> dict[str, Refusal]:
    """Return the fields of the service that its engine would ignore, each with its refusal."""
    service, engine = request.service, ENGINES[request.service.engine]
    settings = engine.settings if request.gpu else engine.settings_without_cards
    usual = {field.name: field.default for field in fields(service)}
    usual["task"] = "generate"
    refusals = {}
    if request.task == "generate" and not request.model.network.causal:
        refusals["task"] = Refusal(
            f"{request.name}: {request.model.key} is an encoder, which writes no answers",
            'Set task to "embed" or "rerank", by what it was trained for, or serve another model',
        )
    for name in (field.name for field in fields(ServiceSettings)):
        setting, value = getattr(settings, name), getattr(service, name)
        if name == "task":
            value = request.task
            if engine.tasks_by_file and value not in (request.model.network.task, "rerank"):
                refusals[name] = Refusal(
                    f"{request.name}: {engine.name} has no task={value!r} for {request.model.key}:"
                    f" it goes by the file, which is for {request.model.network.task}",
                    "Leave task out, or serve it with llama.cpp",
                )
                continue
        elif name in _OF_ANSWERS and value and request.task != "generate":
            refusals[name] = Refusal(
                f"{request.name}: {name} is about answers, and its task is {request.task}",
                f"Leave {name} out",
            )
            continue
        if not request.gpu and request.machines > 1 and name in _ACROSS_MACHINES:
            continue
        if value == usual[name] or setting.values is None or value in setting.values:
            continue
        shown = f"{name}={value!r}" if setting.values else name
        refusals[name] = Refusal(
            f"{request.name}: {engine.name} has no {shown}: {setting.why}",
            setting.hint or f"Leave {name} out",
        )
    return refusals


def estimate_warnings(request: Request) -> Iterator[str]:
    """Yield warnings where the memory estimate is less certain than usual."""
    model = request.model
    network = model.network
    if network.vocabulary is None or network.intermediate is None:
        yield (
            f"{request.name}: the shape of {model.key} is not known whole, so its memory is a rough"
            " estimate"
        )
    if network.causal and count_caching_layers(network) < network.layers:
        kept = "a window" if network.sliding_window is not None else "a state"
        yield (
            f"{request.name}: {count_caching_layers(network)} of {network.layers} layers of"
            f" {model.key} keep every"
            f" token, the others {kept}; what that takes was computed, so compare it with the log"
            " of the first start"
        )


def smaller_variants(request: Request) -> list[Request]:
    """Return the request with each smaller variant that the engine serves here, largest first."""
    variants = [other for other in request.variants if other.size < request.size]
    variants.sort(key=lambda other: -other.size)
    return [replace(request, model=other, size=other.size) for other in variants]


def size_hint(fitting: Request | None, most: int, otherwise: str) -> str:
    """Return a hint for weights that are too large: a variant that fits, or the maximum size."""
    if fitting is not None:
        return f"Choose {fitting.model.key}, which is {human(fitting.size)}, or {otherwise}"
    return f"Choose weights of about {human(max(0, most))} at most, or {otherwise}"


def count(number: int, thing: str) -> str:
    """Return a number with its noun, in the plural where needed."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
