"""What a machine of a group has beside a service's own files.

`modelrack.pyz together --group /etc/modelrack/services/NAME.group.json -- COMMAND` reads:

    {"service": NAME, "rank": 0, "nodes": ["10.9.0.11", "10.9.0.12"], "port": 8001,
     "digest": "...", "secret": "/etc/modelrack/secrets/NAME.group",
     "gate": {...}, "question": {...}}

`nodes` are addresses in the fabric, in the order of the ranks; the first is the head, and `port` is
where it listens. `digest` is the same on all machines that have the same engine, weights and
settings. `secret` is a file that only root reads, with one line; the unit gets it as the credential
of the file's name, $CREDENTIALS_DIRECTORY/NAME.group. `gate` is what its cards have to reach before
the engine starts, and `question` what the head is asked while it serves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from deploys.planning.engines.software import ENGINES
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.weights.weights import model_of
from deploys.rendering.templates import Rendered, digest_of


def files(
    plan: HostPlan, service: ServicePlan, config: Callable[[ServicePlan], Rendered]
) -> tuple[Rendered, ...]:
    """Return what describes the group of a service; nothing for one of a single machine.

    + config: renders the engine's settings of a service
    """
    group = service.group
    if group is None:
        return ()
    # As the head has them: what differs by rank is no difference.
    of_head = config(replace(service, group=replace(group, rank=0)))
    engine = plan.software_of(service.engine)
    weights = [file.sha256 for file in service.weights.files]
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
