"""Units and settings that the Python engines share."""

from __future__ import annotations

import math
from typing import Any

from deploys.planning.engines.software import ENGINES
from deploys.planning.models.parsers import parsers
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.rendering.templates import Rendered, file


def unit(plan: HostPlan, engine: str, **values: Any) -> Rendered:
    """Return an engine's template unit, which runs the version that `current` points to."""
    return file(
        f"{engine}/{engine}@.service",
        f"/etc/systemd/system/{engine}@.service",
        directory=f"{ENGINES}/{engine}/current",
        data_root=plan.site.data_root,
        nvidia=plan.stack.vendor == "nvidia",
        **values,
    )


def config(service: ServicePlan, engine: str, **values: Any) -> Rendered:
    """Return the file that an engine reads its options from."""
    return file(
        f"{engine}/service.yaml",
        f"/etc/modelrack/services/{service.name}.yaml",
        service=service,
        placement=service.placement,
        parsers=parsers(engine, service.model),
        **values,
    )


def environment(service: ServicePlan, engine: str, digest: str, **values: Any) -> Rendered:
    """Return the environment file: cards, digest, and settings that are not options."""
    return file(
        f"{engine}/service.env",
        f"/etc/modelrack/services/{service.name}.env",
        service=service,
        cards=service.placement.cards,
        digest=digest,
        **values,
    )


def parallel_of_a_copy(service: ServicePlan) -> int:
    """Return the concurrent requests per replica; the engine distributes them."""
    return math.ceil(service.parallel / service.placement.replicas)


def cuda_home(engine: str) -> str:
    """Return the path of the CUDA toolkit in its packages, for kernels compiled at run time."""
    return f"{ENGINES}/{engine}/current/cuda"
