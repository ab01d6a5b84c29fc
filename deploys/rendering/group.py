"""What a machine of a group has beside a service's own files.

/etc/modelrack/services/NAME.group.json is what `modelrack.pyz together --group FILE -- COMMAND` reads:

    {"service": NAME, "rank": 0, "nodes": ["10.9.0.11", "10.9.0.12"], "port": 8001,
     "digest": "...", "secret": "/etc/modelrack/secrets/NAME.group"}

`nodes` are addresses in the fabric, in the order of the ranks; the first is the head, and `port` is
where it listens. `digest` is the same on all machines that have the same engine, weights and
settings. `secret` is a file that only root reads, with one line; the unit gets it as the credential
of the file's name, $CREDENTIALS_DIRECTORY/NAME.group.
"""

from __future__ import annotations

import json

from deploys.planning.group.plan import GroupPlan
from deploys.rendering.templates import Rendered


def description(service: str, group: GroupPlan, digest: str) -> Rendered:
    """Return the file that says who belongs to the group of a service."""
    said = {
        "service": service,
        "rank": group.rank,
        "nodes": [node.address for node in group.nodes],
        "port": group.port,
        "digest": digest,
        "secret": secret_file(service),
    }
    path = f"/etc/modelrack/services/{service}.group.json"
    return Rendered(path=path, content=json.dumps(said, indent=2) + "\n", mode="644")


def secret_file(service: str) -> str:
    """Return the path of the file that proves a machine to belong to the group of a service."""
    return f"/etc/modelrack/secrets/{service}.group"
