"""llama-server, configured entirely through environment variables."""

from __future__ import annotations

from typing import Any

from deploys.planning.engines.llama_cpp import LLAMA_CPP
from deploys.planning.engines.software import PROGRAMS
from deploys.planning.options import check
from deploys.planning.options.record import Option
from deploys.planning.placement.memory import MIB
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.weights.weights import model_of
from deploys.rendering import chunked_prefill, settings
from deploys.rendering.templates import Rendered, file

# What it calls the values that answers are drawn with.
_SAMPLING = {
    "temperature": "LLAMA_ARG_TEMPERATURE",
    "top_p": "LLAMA_ARG_TOP_P",
    "top_k": "LLAMA_ARG_TOP_K",
    "min_p": "LLAMA_ARG_MIN_P",
    "repetition_penalty": "LLAMA_ARG_REPEAT_PENALTY",
    "presence_penalty": "LLAMA_ARG_PRESENCE_PENALTY",
}
# What the plan calls a cache in the model's own type.
_CACHE_TYPES = {"auto": "f16"}


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """Return the template unit, and the settings of this service."""
    backend = plan.stack.backend
    devices = "llama.cpp/devices.conf" if backend == "Vulkan" else None
    placement, chat = service.placement, settings.chat_template(plan, service)
    network = model_of(plan.wanted_of(service)).network
    return (
        file(
            f"{LLAMA_CPP.name}/{LLAMA_CPP.template_unit}",
            f"/etc/systemd/system/{LLAMA_CPP.template_unit}",
            data_root=plan.site.data_root,
            nvidia=backend == "CUDA",
            vulkan=backend == "Vulkan",
        ),
        file(
            "llama.cpp/service.env",
            f"/etc/modelrack/services/{service.name}.env",
            service=service,
            placement=placement,
            weights=service.weights,
            chat_template=[each.path for each in chat],
            backend=backend,
            cache_type=_CACHE_TYPES.get(placement.kv_cache, placement.kv_cache),
            chunk=chunked_prefill.chunk(service),
            whole=None if network.causal else service.context,
            prompt_cache=placement.ledger.host.get("prompt cache", 0) // MIB,
            sampling={
                _SAMPLING[name]: value
                for name, value in (plan.wanted_of(service).sampling or {}).items()
            },
            memory=placement.host_memory,
            options=[
                *(word for each in service.adapters for word in ("--lora", f"'{each.path}'")),
                *(word for entry in settings.chosen(plan, service) for word in _words(*entry)),
            ],
            digest=digest,
        ),
        file(
            "llama.cpp/memory.conf",
            f"/etc/systemd/system/{service.unit}.d/memory.conf",
            memory=placement.host_memory,
            programs=PROGRAMS,
        ),
        *(
            [file(devices, f"/etc/systemd/system/{service.unit}.d/devices.conf", service=service)]
            if devices
            else []
        ),
        *chat,
    )


def _words(option: Option, value: Any) -> tuple[str, ...]:
    """Return an option as words of a command, which systemd splits at blanks outside quotes."""
    if not option.value:
        return (option.name if value else str(option.negative),)
    return (option.name, f"'{check.text(value)}'")
