"""What is chosen for a service: cards, parallelism, context, offload; and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from deploys.planning.gpus import Accelerator
from deploys.planning.machine import Machine
from deploys.planning.memory import Card, Ledger
from deploys.planning.model import Model
from deploys.planning.profile import KvCache, Service
from deploys.planning.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One service on one machine, and what it takes there.

    + tensor_parallel, pipeline_parallel, replicas: cards that share a layer, groups of such cards
      that layers are dealt to, and copies; 0 copies on cards where all runs on the CPU
    + groups: card indices of each copy, pipeline stage by pipeline stage; () without cards
    + context: tokens of one request; parallel: requests at the same time, all copies together
    + kv_cache: as the service has it
    + gpu_share: share of a card that the engine may take; None for engines without that setting
    + gpu_layers, cpu_experts: llama.cpp's alone: layers on the cards (the output head counts as
      one, as it does for llama.cpp), and layers whose experts stay in host memory; else None
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
    gpu_share: float | None
    gpu_layers: int | None
    cpu_experts: int | None
    ledger: Ledger
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def cards(self) -> tuple[int, ...]:
        return tuple(index for group in self.groups for index in group)

    def to_json(self) -> dict[str, Any]:
        refusals = [{"reason": no.reason, "way_out": no.way_out} for no in self.refusals]
        return {**asdict(self), "refusals": refusals}


def cards_of(machine: Machine, gpu: Accelerator | None) -> tuple[Card, ...]:
    """The machine's cards; memory from the hardware table where no driver counts it yet."""
    raise NotImplementedError


def place(
    service: Service,
    model: Model,
    size: int,
    gpu: Accelerator | None,
    cards: Sequence[Card],
    machine: Machine,
) -> Placement:
    """One service alone on these cards; size: bytes of the model's files."""
    raise NotImplementedError


def place_all(
    services: Sequence[tuple[Service, Model, int]],
    gpu: Accelerator | None,
    cards: Sequence[Card],
    machine: Machine,
) -> tuple[Placement, ...]:
    """All services of a machine, in their order; no card is given to two of them."""
    raise NotImplementedError
