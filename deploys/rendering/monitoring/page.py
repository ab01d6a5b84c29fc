"""The page of what is watched: static, it asks Prometheus by itself, and no other host."""

from __future__ import annotations

from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.monitoring.queries import queries
from deploys.rendering.templates import text


def of(plan: GatewayPlan) -> str:
    """Return the page."""
    assert plan.monitoring
    return text(
        "monitoring/page.html",
        host=plan.host,
        every=plan.monitoring.interval,
        queries=dict(queries(plan.monitoring)),
    )
