"""vLLM: one process that listens, with workers for its cards, and copies side by side in it.

Left to vLLM, as what people set by hand here is slower or does not start: --enforce-eager, --dtype,
--quantization (it reads what the weights are), --enable-prefix-caching (on by itself).
"""

from __future__ import annotations

from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.serving import settings
from deploys.planning.templates import Rendered

# What it calls that a service is set up for. Interactivity has a graph for every batch size up to
# 32; throughput takes twice as many tokens into a step. Source: vLLM 0.32, config/vllm.py and
# engine/arg_utils.py.
_MODES = {"latency": "interactivity", "throughput": "throughput"}
# Cards on which its recipe of DeepSeek-V3.2 has DeepGEMM switched off.
_WITHOUT_DEEP_GEMM = ("H20",)


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """The unit of every instance, and the settings of this one."""
    on_cards = bool(service.placement.groups)
    return (
        settings.unit(
            plan,
            "vllm",
            # The package for CPUs has another name than its own command looks for.
            command="vllm serve" if on_cards else "python -m vllm.entrypoints.openai.api_server",
        ),
        settings.config(
            service,
            "vllm",
            parallel=settings.parallel_of_a_copy(service),
            performance_mode=_MODES.get(service.performance),
        ),
        settings.environment(
            service,
            "vllm",
            digest,
            cuda=settings.cuda_home(plan, "vllm"),
            deep_gemm=plan.profile.gpu not in _WITHOUT_DEEP_GEMM,
        ),
    )
