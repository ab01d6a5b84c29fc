"""What the units and settings of the Python engines share."""

from __future__ import annotations

import math
from typing import Any

from deploys.planning.engines.software import ENGINES
from deploys.planning.models.parsers import parsers
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.rendering.templates import Rendered, file


def unit(plan: HostPlan, engine: str, **values: Any) -> Rendered:
    """The unit of every instance of an engine; it starts what the link `current` points to."""
    return file(
        f"{engine}/{engine}@.service",
        f"/etc/systemd/system/{engine}@.service",
        directory=f"{ENGINES}/{engine}/current",
        data_root=plan.site.data_root,
        gpus=plan.profile.gpu is not None,
        **values,
    )


def config(service: ServicePlan, engine: str, **values: Any) -> Rendered:
    """What an engine reads its options from."""
    return file(
        f"{engine}/service.yaml",
        f"/etc/modelrack/services/{service.name}.yaml",
        service=service,
        placement=service.placement,
        parsers=parsers(engine, service.model),
        **values,
    )


def environment(service: ServicePlan, engine: str, digest: str, **values: Any) -> Rendered:
    """What its processes find in their environment: cards, digest, and what is no option."""
    return file(
        f"{engine}/service.env",
        f"/etc/modelrack/services/{service.name}.env",
        service=service,
        cards=service.placement.cards,
        digest=digest,
        **values,
    )


def parallel_of_a_copy(service: ServicePlan) -> int:
    """Requests at the same time in each copy; the engine deals them out."""
    return math.ceil(service.parallel / service.placement.replicas)


def cuda_home(engine: str) -> str:
    """The CUDA toolkit of its packages, for kernels that are compiled at run time."""
    return f"{ENGINES}/{engine}/current/cuda"
