"""The gateway's way to other machines, and what it lets through of monitoring."""

from __future__ import annotations

from typing import Any

from deploys.planning.addresses import in_url
from deploys.planning.gateway import plan as gateway
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.monitoring.plan import PROMETHEUS
from deploys.rendering.monitoring import page
from deploys.rendering.templates import Rendered


def values(plan: GatewayPlan) -> dict[str, Any]:
    """Return what HAProxy's configuration says of other machines and of monitoring."""
    return {
        "peers": plan.peers,
        "machine_certificate": gateway.MACHINE_CERTIFICATE,
        "site_ca": gateway.SITE_CA,
        "targets": plan.targets,
        "machines": plan.machines,
        "page": plan.monitoring is not None,
        "prometheus": f"127.0.0.1:{PROMETHEUS}",
        "in_url": in_url,
    }


def files(plan: GatewayPlan) -> tuple[Rendered, ...]:
    """Return the page, where there is one."""
    if plan.monitoring is None:
        return ()
    path = f"{gateway.FOLDER}/monitoring.html"
    return (Rendered(path=path, content=page.of(plan), mode="640"),)


def maps(plan: GatewayPlan) -> dict[str, list[tuple[str, object]]]:
    """Return who sees it."""
    if plan.monitoring is None:
        return {}
    return {"viewers": [(user, 1) for user in plan.monitoring.viewers]}
