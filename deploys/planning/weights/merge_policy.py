"""Whether a split GGUF is merged into one file: as the engines read it, or the operator says."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal


def needs_merge(services: Sequence[Service]) -> bool:
    """Return whether the split GGUF of `services` is merged; raise Refusal if they conflict."""
    for service in services:
        reading = ENGINES[service.engine].reads.split_gguf
        if service.merge is False and not reading.shards:
            raise Refusal(
                f"Service {service.name}: merge=False keeps the shards, but {service.engine} needs"
                f" a split GGUF as one file: {reading.why}",
                "Leave merge out, or serve the model with llama.cpp",
            )
    keeping = [service for service in services if service.merge is False]
    merging = [
        service
        for service in services
        if service.merge
        or (service.merge is None and not ENGINES[service.engine].reads.split_gguf.shards)
    ]
    if keeping and merging:
        raise Refusal(
            f"Service {keeping[0].name} keeps the shards of its model, and {merging[0].name} needs"
            " them as one file",
            f"Leave merge out of {keeping[0].name}: {keeping[0].engine} reads one file as well",
        )
    return bool(merging)
