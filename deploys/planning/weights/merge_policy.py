"""Which engines read a split GGUF as published, and which need its shards merged into one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal


@dataclass(frozen=True, kw_only=True)
class ShardSupport:
    """How one engine reads a split GGUF.

    + shards: it opens shards by itself
    + why: a clause that follows "ollama needs a split GGUF as one file: "; "" if it reads shards
    """

    shards: bool
    why: str = ""
    source: str
    date: str


SHARD_SUPPORT: dict[str, ShardSupport] = {
    "llama.cpp": ShardSupport(
        shards=True,
        source="served from its first shard, with the llama.cpp 0.5.0-dev that xllamacpp contains",
        date="2026-11-22",
    ),
    "ktransformers": ShardSupport(
        shards=True,
        source="takes a folder: kvcache-ai/ktransformers issues 161, 168, 589",
        date="2026-11-22",
    ),
    "ollama": ShardSupport(
        shards=False,
        why="it opens one blob a model, and what it imports from shards it writes three times",
        source="server/create.go of ollama 0.24 and 0.33, and its issue 5245",
        date="2026-11-22",
    ),
    "vllm": ShardSupport(
        shards=False,
        why="its plugin for GGUF opens the first file that it finds",
        source="loader.py of vllm-gguf-plugin 0.0.5",
        date="2026-11-22",
    ),
    "sglang": ShardSupport(
        shards=False,
        why="it opens one file, whatever its documentation says",
        source="sgl-project/sglang issue 28209",
        date="2026-11-22",
    ),
}


def needs_merge(services: Sequence[Service]) -> bool:
    """Return whether the split GGUF of `services` is merged; raise Refusal if they conflict."""
    for service in services:
        reading = SHARD_SUPPORT[service.engine]
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
        if service.merge or (service.merge is None and not SHARD_SUPPORT[service.engine].shards)
    ]
    if keeping and merging:
        raise Refusal(
            f"Service {keeping[0].name} keeps the shards of its model, and {merging[0].name} needs"
            " them as one file",
            f"Leave merge out of {keeping[0].name}: {keeping[0].engine} reads one file as well",
        )
    return bool(merging)
