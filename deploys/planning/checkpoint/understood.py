"""What was understood of what a service names by its hub, for who pins it to judge."""

from __future__ import annotations

from collections.abc import Iterator

from deploys.planning.adapters.adapter import Adapter
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.models.cache import cache_bytes
from deploys.planning.models.model import Model


def lines(name: str, model: Model, documents: Documents) -> Iterator[str]:
    """Yield what the documents say, and what they leave open.

    + name: as the profile has it
    """
    network = model.network
    active = network.active_parameters or network.parameters
    used = f" ({active / 1e9:,.3g} billion for a token)" if active < network.parameters else ""
    pictures = " and looks at images" if network.images else ""
    facts = (
        documents.architecture or "no architecture",
        f"{network.parameters / 1e9:,.4g} billion parameters{used}",
        f"{cache_bytes(model):,} bytes of cache a token",
        f"context {network.context:,}",
        f"{model.quantization} in {model.format}",
        f"its task is to {network.task}{pictures}",
        f"licence {documents.licence or 'unknown'}",
    )
    yield f"{name} is understood as {model.key}: {', '.join(facts)}"
    if unknown := list(_unknown(model, documents)):
        yield f"{name} does not say {'; '.join(unknown)}"


def of_adapter(name: str, adapter: Adapter) -> str:
    """Return what the documents of an adapter say.

    + name: as the profile has it
    """
    kinds = ", ".join(dict.fromkeys(matrix.name for matrix in adapter.matrices))
    base = f"trained on {adapter.base}" if adapter.base else "of a model that it does not name"
    return (
        f"{name} is understood as {adapter.key}: a LoRA adapter in {adapter.format}, {base}, rank"
        f" {adapter.rank}, alpha {adapter.alpha:g}, of {kinds} in {adapter.layers} layers"
    )


def _unknown(model: Model, documents: Documents) -> Iterator[str]:
    if model.network.task == "generate":
        if model.network.dialect is None:
            yield (
                "how it writes thoughts and calls of tools: set reasoning_parser and tool_parser"
                " of the service if it does"
            )
        if documents.template is None:
            yield "how a chat is put to it: set chat_template of the service"
    if documents.licence is None:
        yield "under which licence it may be used: look at its page"
