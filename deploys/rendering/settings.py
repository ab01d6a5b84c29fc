"""Units and settings that the Python engines share."""

from __future__ import annotations

import json
import math
from typing import Any

from deploys.planning.adapters.slots import slots_of
from deploys.planning.engines.base import Engine
from deploys.planning.engines.software import ENGINES
from deploys.planning.options import answers, check
from deploys.planning.options.record import Option
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.weights.weights import model_of
from deploys.rendering.templates import Rendered, file, source

# No video: a server makes room for the longest that there may be, which takes gigabytes of a card.
_IMAGES = json.dumps({"image": 8, "video": 0})


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
        slots=slots_of(plan.wanted_of(service)),
        options=_of_file(plan, service),
        chat_template=[each.path for each in chat_template(plan, service)],
        **values,
    )


def chosen(plan: HostPlan, service: ServicePlan) -> tuple[tuple[Option, Any], ...]:
    """Return the further options of a service, as its engine's version has them."""
    return check.settled(plan.wanted_of(service), plan.stack.engines[service.engine])


def variables(plan: HostPlan, service: ServicePlan) -> list[str]:
    """Return those that are variables, as lines of an environment file."""
    found = [
        (option.name, check.text(value))
        for option, value in chosen(plan, service)
        if option.is_variable
    ]
    return [f"{name}='{value}'" for name, value in found]


def _of_file(plan: HostPlan, service: ServicePlan) -> dict[str, Any]:
    """Return those that are lines of a YAML file; what is JSON to the engine is a text to YAML."""
    return {
        option.key: check.text(value) if option.type == "json" else value
        for option, value in chosen(plan, service)
        if not option.is_variable
    }


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
        variables=variables(plan, service),
        digest=digest,
        **values,
    )


def images(plan: HostPlan, service: ServicePlan, option: str) -> str | None:
    """Return how many images a prompt may hold, as JSON; None where it holds none.

    And where the service says it by the engine's own option. More are memory that is kept for them.
    """
    wanted = plan.wanted_of(service)
    said = any(found.key == option for found, _ in chosen(plan, service))
    return _IMAGES if model_of(wanted).images and not said else None


def parallel_of_a_copy(service: ServicePlan) -> int:
    """Return the concurrent requests per replica; the engine distributes them."""
    return math.ceil(service.parallel / service.placement.replicas)


def parallel_of_a_rank(service: ServicePlan) -> int:
    """Return the concurrent requests of each group of cards with requests of its own."""
    return math.ceil(service.parallel / service.placement.ranks)


def cuda_home(engine: Engine) -> str:
    """Return the path of the CUDA toolkit in its packages, for kernels compiled at run time."""
    return f"{ENGINES}/{engine.name}/current/cuda"
