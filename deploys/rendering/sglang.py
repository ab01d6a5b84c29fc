"""SGLang: one listening process, with a scheduler per card, and replicas side by side."""

from __future__ import annotations

from deploys.planning.plan import HostPlan, ServicePlan
from deploys.rendering import settings
from deploys.rendering.templates import Rendered


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """Return the template unit, and the settings of this service."""
    return (
        settings.unit(plan, "sglang"),
        settings.config(service, "sglang", parallel=settings.parallel_of_a_copy(service)),
        settings.environment(service, "sglang", digest, cuda=settings.cuda_home("sglang")),
    )
