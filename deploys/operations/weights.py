"""Models on the machine's disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import asdict
from typing import Any

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking
from deploys.facts.weights import Manifests
from deploys.operations import job
from deploys.planning.weights.plan import HubSource, PeerServer, Weights


@operation()
def present(
    models: Sequence[Weights], peer: PeerServer | None = None, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Fetch models, merge them where the plan says so, and verify every file.

    + models: the models that the plan wants on this machine
    + peer: where this machine shares them; it also fetches from other machines what they have

    The download is a job on the machine (remote/download/fetch.py). A model is left alone if its
    manifest names the same files with the same digests and the files still have the size and time
    recorded there.
    """
    specs = {model.directory: _spec(model, peer) for model in models}
    proven = host.get_fact(Manifests, specs=json.dumps(list(specs.values()))) if specs else set()
    missing = [spec for directory, spec in specs.items() if directory not in proven]
    looking.knows(specs)
    looking.differs(f"{each['directory']} is not what was proven there" for each in missing)
    if not missing:
        host.noop("all models are there and proven")
        return
    for spec in missing:
        # Who else is there does not make it another job: the one that runs is found again.
        decides = {key: value for key, value in spec.items() if key != "sharing"}
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
        yield from job.running(
            f"fetch-{spec['model']}-{digest}",
            ["python3", "{program}", "weights", "fetch", "{spec}"],
            systemd=systemd,
            spec=spec,
        )


def _spec(model: Weights, peer: PeerServer | None) -> dict[str, Any]:
    """Return the spec that remote/download/fetch.py reads."""
    told: dict[str, Any] = {
        "model": model.model,
        "directory": model.directory,
        "sources": [
            *({"kind": "directory", "endpoint": folder} for folder in model.folders),
            *([{"kind": "http", "endpoint": model.server}] if model.server else []),
            *(_source(source) for source in model.sources),
        ],
        "files": [asdict(file) for file in model.files],
        "merge": {"output": model.merge} if model.merge else None,
        "owner": None,
    }
    if model.opened:
        told["opened"] = model.opened
    if model.quantization:
        told["quantization"] = model.quantization
    if peer:
        told["sharing"] = {"folder": peer.folder, "me": peer.url, "others": model.peers}
    return told


def _source(source: HubSource) -> dict[str, str]:
    return {name: value for name, value in asdict(source).items() if value is not None}
