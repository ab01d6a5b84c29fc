"""Where services are asked: what a gateway passes on, and what their own servers are asked."""

from __future__ import annotations

from collections.abc import Mapping

from deploys.planning.models.shapes import Task

# Everything that may be asked of any model; nothing else reaches an engine.
LISTS = "/v1/models"
ASKED: Mapping[Task, tuple[str, ...]] = {
    "generate": ("/v1/chat/completions", "/v1/completions", "/v1/messages"),
    "embed": ("/v1/embeddings",),
    "rerank": ("/v1/rerank",),
}
# Letters of a model's name that a gateway reads.
LONGEST_NAME = 64
