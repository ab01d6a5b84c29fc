"""llama-server: everything that it is told comes from its environment."""

from __future__ import annotations

from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.templates import Rendered, file


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """The unit of every instance, and the settings of this one."""
    return (
        file(
            "llama.cpp/llama-server@.service",
            "/etc/systemd/system/llama-server@.service",
            data_root=plan.site.data_root,
        ),
        file(
            "llama.cpp/service.env",
            f"/etc/modelrack/services/{service.name}.env",
            service=service,
            weights=service.weights,
            digest=digest,
        ),
    )
