"""Where the metrics of a machine are."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.engines.registry import ENGINES
from deploys.planning.gateway.plan import METRICS
from deploys.planning.inputs.profile import Service
from deploys.planning.monitoring.plan import NODE, ScrapeTarget
from deploys.planning.plan import ServicePlan


def targets_of(
    services: Sequence[Service] | Sequence[ServicePlan], *, gateway: bool
) -> tuple[ScrapeTarget, ...]:
    """Return where the metrics of a machine are.

    + services: those that it answers itself
    + gateway: whether it has one
    """
    found = [ScrapeTarget(job="node", name="node", port=NODE)]
    if gateway:
        found.append(ScrapeTarget(job="gateway", name="gateway", port=METRICS))
        found.append(ScrapeTarget(job="usage", name="usage", port=METRICS, path="/usage"))
    for service in services:
        if ENGINES[service.engine].metrics:
            labels = {"service": service.name, "engine": service.engine}
            name = f"service-{service.name}"
            found.append(ScrapeTarget(job="engine", name=name, port=service.port, labels=labels))
    return tuple(found)
