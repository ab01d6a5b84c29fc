"""KTransformers: built on SGLang, with the experts in host memory."""

from __future__ import annotations

import math

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
            method=_METHODS.get(service.weights.quantization or ""),
            threads=_threads(service),
            numa_nodes=service.numa_nodes,
        ),
        settings.environment(plan, service, KTRANSFORMERS, digest, cuda=AT_RUN_TIME),
        *settings.chat_template(plan, service),
    )


# Cores for what is no expert. With all 16 cores of a machine to themselves, the experts of a model
# came to an eighth of what they did on 14: a barrier waits for whoever has to share a core.
_OTHERS = 2


def _threads(service: ServicePlan) -> int:
    """Return the threads that compute experts, as many for each memory node."""
    nodes = service.numa_nodes
    return max(1, (service.threads - _OTHERS) // nodes) * nodes


def _share(service: ServicePlan) -> float:
    """Return the share of weights and cache on the fullest card, as SGLang counts it.

    It is all that steps and the margin leave. The cache itself has its number of tokens, and ends
    there; a share of just the two would take from it what the weights need beyond their estimate.
    """
    cards = service.placement.ledger.cards
    others = [card.planned - card.lines["weights"] - card.lines["KV cache"] for card in cards]
    least = min(1 - other / card.total for other, card in zip(others, cards, strict=True))
    return math.floor(least * 1000) / 1000
