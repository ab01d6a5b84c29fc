"""Units and settings that the Python engines share."""

from __future__ import annotations

import math
from typing import Any

from deploys.planning.engines.base import Engine
from deploys.planning.engines.software import ENGINES
from deploys.planning.options import answers
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.rendering.templates import Rendered, file, source


def unit(plan: HostPlan, engine: Engine, **values: Any) -> Rendered:
    """Return an engine's template unit, which runs the version that `current` points to."""
    return file(
        f"{engine.name}/{engine.template_unit}",
        f"/etc/systemd/system/{engine.template_unit}",
        directory=f"{ENGINES}/{engine.name}/current",
        data_root=plan.site.data_root,
        nvidia=plan.stack.vendor == "nvidia",
        **values,
    )


def config(plan: HostPlan, service: ServicePlan, engine: Engine, **values: Any) -> Rendered:
    """Return the file that an engine reads its options from."""
    return file(
        f"{engine.name}/service.yaml",
        f"/etc/modelrack/services/{service.name}.yaml",
        service=service,
        wanted=plan.wanted_of(service),
        placement=service.placement,
        parsers=answers.parsers_of(plan.wanted_of(service)),
        chat_template=[each.path for each in chat_template(plan, service)],
        **values,
    )


def chat_template(plan: HostPlan, service: ServicePlan) -> tuple[Rendered, ...]:
    """Return the chat template that is used instead of the model's own; none if that is used."""
    wanted = plan.wanted_of(service)
    if wanted.chat_template is not None:
        content = answers.chat_template(wanted)
    elif shipped := answers.parsers_of(wanted).template:
        content = source(f"chat/{shipped}.jinja")
    else:
        return ()
    path = f"/etc/modelrack/services/{service.name}.jinja"
    return (Rendered(path=path, content=content, mode="644"),)


def environment(
    plan: HostPlan, service: ServicePlan, engine: Engine, digest: str, **values: Any
) -> Rendered:
    """Return the environment file: cards, digest, and settings that are not options."""
    return file(
        f"{engine.name}/service.env",
        f"/etc/modelrack/services/{service.name}.env",
        service=service,
        wanted=plan.wanted_of(service),
        cards=service.placement.cards,
        digest=digest,
        **values,
    )


def parallel_of_a_copy(service: ServicePlan) -> int:
    """Return the concurrent requests per replica; the engine distributes them."""
    return math.ceil(service.parallel / service.placement.replicas)


def parallel_of_a_rank(service: ServicePlan) -> int:
    """Return the concurrent requests of each group of cards with requests of its own."""
    return math.ceil(service.parallel / service.placement.ranks)


def cuda_home(engine: Engine) -> str:
    """Return the path of the CUDA toolkit in its packages, for kernels compiled at run time."""
    return f"{ENGINES}/{engine.name}/current/cuda"
