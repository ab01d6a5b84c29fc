"""Ollama: one process for all models; per-model settings are stored in Ollama itself."""

from __future__ import annotations

from math import ceil

from deploys.planning.engines.ollama import OLLAMA
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.weights.weights import model_of
from deploys.rendering import settings
from deploys.rendering.templates import Rendered, file

# What a Modelfile calls otherwise than generation_config.json.
_SAMPLING = {"repetition_penalty": "repeat_penalty"}
# Bytes a second that a disk gives at least, and the shortest time that a load is waited for.
_SLOWEST = 100_000_000
_SHORTEST = 5


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """Return the unit and its settings, the same for every model."""
    services = plan.services_of(OLLAMA.name)
    return (
        file(
            f"{OLLAMA.name}/{OLLAMA.template_unit}",
            f"/etc/systemd/system/{OLLAMA.template_unit}",
            data_root=plan.site.data_root,
            folders=sorted({weights.directory for each in services for weights in each.fetched}),
            nvidia=plan.stack.vendor == "nvidia",
        ),
        file(
            "ollama/ollama.env",
            "/etc/modelrack/ollama.env",
            services=services,
            parameters={each.name: parameters(plan, each) for each in services},
            models=models(plan),
            # Ollama has one number for all models; the smallest fits each of them.
            parallel=min(each.parallel for each in services),
            kv_cache=services[0].placement.kv_cache,
            cards=sorted({card for each in services for card in each.placement.cards}),
            minutes=max(load_minutes(each) for each in services),
            variables=settings.variables(plan, services[0]),
            digest=digest,
        ),
    )


def models(plan: HostPlan) -> str:
    """Return Ollama's model directory, on the file system of the weights, for hard links."""
    return f"{plan.site.data_root}/ollama"


def parameters(plan: HostPlan, service: ServicePlan) -> dict[str, int | float]:
    """Return what a Modelfile would set; num_gpu only if the service sets gpu_layers."""
    wanted = plan.wanted_of(service)
    found: dict[str, int | float] = {"num_ctx": service.context}
    if wanted.gpu_layers is not None:
        found["num_gpu"] = wanted.gpu_layers
    if not model_of(wanted).network.causal:
        # An encoder reads a text in one step; by itself Ollama cuts it to 2048 tokens.
        found["num_batch"] = service.context
    for name, value in (wanted.sampling or {}).items():
        found[_SAMPLING.get(name, name)] = value
    return found


def patience(plan: HostPlan) -> float:
    """Return the seconds until the last model answers: they are loaded one after the other."""
    return 60.0 * sum(map(load_minutes, plan.services_of(OLLAMA.name)))


def load_minutes(service: ServicePlan) -> int:
    """Return the maximum minutes for reading the model."""
    return max(_SHORTEST, ceil(service.weights.size / _SLOWEST / 60))
