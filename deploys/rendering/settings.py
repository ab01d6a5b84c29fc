"""Units and settings that the Python engines share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deploys.planning.adapters.slots import slots_of
from deploys.planning.engines.base import Engine
from deploys.planning.engines.software import ENGINES, PROGRAMS
from deploys.planning.group.plan import GroupPlan
from deploys.planning.options import answers, check
from deploys.planning.options.record import Option
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.weights.weights import model_of
from deploys.rendering.templates import Rendered, digest_of, file, source

# What starts an engine when all machines of its group are there, and ends it when one is gone.
_TOGETHER = (
    f"/usr/bin/python3 {PROGRAMS} together --group /etc/modelrack/services/%i.group.json -- "
)
# No video: a server makes room for the longest that there may be, which takes gigabytes of a card.
_IMAGES = json.dumps({"image": 8, "video": 0})


def unit(plan: HostPlan, engine: Engine, group: GroupPlan | None = None, **values: Any) -> Rendered:
    """Return an engine's template unit, which runs the version that `current` points to.

    + group: the machines that serve its one service together
    """
    return file(
        f"{engine.name}/{engine.template_unit}",
        f"/etc/systemd/system/{engine.template_unit}",
        directory=f"{ENGINES}/{engine.name}/current",
        data_root=plan.site.data_root,
        nvidia=plan.stack.vendor == "nvidia",
        group=group,
        together=_TOGETHER if group else "",
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


def group_files(
    plan: HostPlan, service: ServicePlan, config: Callable[[ServicePlan], Rendered]
) -> tuple[Rendered, ...]:
    """Return what describes the group of a service; nothing for one of a single machine.

    + config: renders the engine's settings of a service

    `modelrack.pyz together --group /etc/modelrack/services/NAME.group.json -- COMMAND` reads:

        {"service": NAME, "rank": 0, "nodes": ["10.9.0.11", "10.9.0.12"], "port": 8001,
         "digest": "...", "secret": "/etc/modelrack/secrets/NAME.group",
         "gate": {...}, "question": {...}}

    `nodes` are addresses in the fabric, in the order of the ranks; the first is the head, and
    `port` is where it listens. `digest` is the same on all machines that have the same engine,
    weights and settings. `secret` is a file that only root reads, with one line; the unit gets it
    as the credential of the file's name, $CREDENTIALS_DIRECTORY/NAME.group. `gate` is what its
    cards have to reach before the engine starts, and `question` what the head is asked while it
    serves.
    """
    group = service.group
    if group is None:
        return ()
    # As the head has them: what differs by rank is no difference.
    of_head = config(replace(service, group=replace(group, rank=0)))
    engine = plan.software_of(service.engine)
    weights = [file.sha256 for each in service.fetched for file in each.files]
    said = {
        "service": service.name,
        "rank": group.rank,
        "nodes": [node.address for node in group.nodes],
        "port": group.port,
        "digest": digest_of([engine.directory, weights, of_head.content]),
        "secret": secret_file(service.name),
        "gate": {
            "python": f"{ENGINES}/{service.engine}/current/bin/python",
            "port": group.gate,
            "cards": group.me.cards,
            "floor": group.floor,
            "rdma": bool(group.hcas),
        },
        "question": _question(plan, service) if group.is_head else None,
    }
    path = f"/etc/modelrack/services/{service.name}.group.json"
    return (Rendered(path=path, content=json.dumps(said, indent=2) + "\n", mode="644"),)


def _question(plan: HostPlan, service: ServicePlan) -> dict[str, object]:
    """Return what the head is asked, and of what model."""
    network = model_of(plan.wanted_of(service)).network
    return {
        "url": service.url,
        "model": service.served,
        "task": service.task,
        "vector": network.hidden if service.task == "embed" else None,
    }


def secret_file(service: str) -> str:
    """Return the path of the file that proves a machine to belong to the group of a service."""
    return f"/etc/modelrack/secrets/{service}.group"
