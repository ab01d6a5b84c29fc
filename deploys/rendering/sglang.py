"""SGLang: one listening process, with a scheduler per card, and replicas side by side."""

from __future__ import annotations

from deploys.planning.addresses import in_url
from deploys.planning.engines.sglang import SGLANG
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.rendering import settings
from deploys.rendering.templates import Rendered


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """Return the template unit, and the settings of this service."""

    def config(service: ServicePlan) -> Rendered:
        return settings.config(
            plan,
            service,
            SGLANG,
            parallel=settings.parallel_of_a_copy(service),
            images=settings.images(plan, service, "limit-mm-data-per-request"),
            rank_parallel=settings.parallel_of_a_rank(service),
            in_url=in_url,
        )

    return (
        settings.unit(plan, SGLANG, service.group),
        config(service),
        *settings.group_files(plan, service, config),
        settings.environment(plan, service, SGLANG, digest, cuda=settings.cuda_home(SGLANG)),
        *settings.chat_template(plan, service),
    )
