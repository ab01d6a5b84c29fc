"""KTransformers: built on SGLang, with the experts in host memory."""

from __future__ import annotations

from deploys.planning.driver.packages import AT_RUN_TIME
from deploys.planning.engines.ktransformers import KTRANSFORMERS
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.rendering import settings
from deploys.rendering.templates import Rendered

# How it computes with experts as they are in the files. Source: README of kt-kernel 0.7.2.
_METHODS = {"FP8": "FP8", "BF16": "BF16", "INT4": "RAWINT4"}


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """Return the template unit, and the settings of this service."""
    return (
        settings.unit(plan, KTRANSFORMERS),
        settings.config(
            plan,
            service,
            KTRANSFORMERS,
            parallel=service.parallel,
            share=_share(service),
            method=_METHODS.get((service.weights.quantization or "").upper()),
            numa_nodes=service.numa_nodes,
        ),
        settings.environment(plan, service, KTRANSFORMERS, digest, cuda=AT_RUN_TIME),
    )


def _share(service: ServicePlan) -> float:
    """Return the share of weights and cache on the fullest card, as SGLang counts it."""
    cards = service.placement.ledger.cards
    used = [card.lines.get("weights", 0) + card.lines.get("KV cache", 0) for card in cards]
    return round(max(use / card.total for use, card in zip(used, cards, strict=True)), 3)
