"""SGLang: one process that listens, with a scheduler for each card, and copies side by side."""

from __future__ import annotations

from deploys.planning.parsers import parsers
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.serving import settings
from deploys.planning.templates import Rendered, file


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """The unit of every instance, and the settings of this one."""
    return (
        settings.unit(plan, "sglang"),
        file(
            "sglang/service.yaml",
            f"/etc/modelrack/services/{service.name}.yaml",
            service=service,
            placement=service.placement,
            parallel=settings.parallel_of_a_copy(service),
            parsers=parsers("sglang", service.model),
        ),
        file(
            "sglang/service.env",
            f"/etc/modelrack/services/{service.name}.env",
            service=service,
            cards=service.placement.cards,
            cuda=settings.cuda_home(plan, "sglang"),
            digest=digest,
        ),
    )
