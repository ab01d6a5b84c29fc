"""Ollama: one process for all its models."""

from __future__ import annotations

from deploys.planning.engines import rules
from deploys.planning.engines.base import (
    BY_TEMPLATE,
    CACHE_IN_Q8_0,
    HONOURED,
    NO_RERANKING,
    OF_LLAMA_CPP,
    OF_VLLM_AND_SGLANG,
    ONE_ADAPTER_IN_GGUF,
    ONE_COPY,
    ONE_PERFORMANCE,
    DealsLayers,
    Engine,
    Reads,
    ServiceSettings,
    SplitGguf,
    ignored,
)
from deploys.planning.engines.failures.ggml import GGUF
from deploys.planning.engines.failures.known import known
from deploys.planning.engines.software import FromRelease, Release
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal

_NAME = "ollama"


def _release(machine: Machine, archive: ArtifactLock, gpu: Accelerator | None) -> Release:
    """Return the release of Ollama, one archive with libraries for the CPU and CUDA 12 and 13."""
    if machine.architecture != "x86_64":
        raise Refusal(
            f"Ollama's archive for {machine.architecture} is not pinned",
            "Serve the model with llama.cpp, which is compiled for this machine",
        )
    if gpu is not None and gpu.vendor != "nvidia":
        raise Refusal(
            f"Ollama's archive for {gpu.name} is another one, and is not pinned",
            "Serve the model with an engine that this software stack has for it, or on an NVIDIA"
            " machine",
        )
    return Release(name=_NAME, version=archive.version, archive=archive)


_SETTINGS = ServiceSettings(
    task=NO_RERANKING,
    context=HONOURED,
    parallel=HONOURED,
    tensor_parallel=OF_VLLM_AND_SGLANG,
    pipeline_parallel=HONOURED,
    replicas=ONE_COPY,
    kv_cache=CACHE_IN_Q8_0,
    performance=ONE_PERFORMANCE,
    gpu_memory_utilization=OF_VLLM_AND_SGLANG,
    gpu_layers=HONOURED,
    cpu_experts=OF_LLAMA_CPP,
    min_tokens_per_second=HONOURED,
    reasoning_parser=BY_TEMPLATE,
    tool_parser=BY_TEMPLATE,
    chat_template=ignored("it takes templates of its own kind, not Jinja"),
    sampling=HONOURED,
    options=HONOURED,
    adapters=HONOURED,
    merge=HONOURED,
    allow_copy=HONOURED,
)

_PLANS = {
    "OLLAMA_HOST": "port",
    "OLLAMA_CONTEXT_LENGTH": "context",
    "OLLAMA_NUM_PARALLEL": "parallel",
    "OLLAMA_KV_CACHE_TYPE": "kv_cache",
    **dict.fromkeys(
        (
            *("OLLAMA_MODELS", "OLLAMA_NO_CLOUD", "OLLAMA_NOPRUNE", "OLLAMA_KEEP_ALIVE"),
            *("OLLAMA_MAX_LOADED_MODELS", "OLLAMA_LOAD_TIMEOUT", "OLLAMA_VULKAN"),
            "CUDA_VISIBLE_DEVICES",
        ),
        "",
    ),
}

OLLAMA = Engine(
    name=_NAME,
    title="Ollama",
    unit="ollama.service",
    shared=("port", "parallel", "kv_cache", "options"),
    # Its names have a tag, which requests may omit.
    model_id="{}:latest",
    # zstd unpacks it.
    software=FromRelease(release=_release, packages=("zstd",)),
    # Its Dockerfile builds on AlmaLinux 8.
    glibc=(2, 28),
    reads=Reads(
        formats=("gguf",),
        other=rules.NO_SAFETENSORS,
        split_gguf=SplitGguf(
            shards=False,
            why="it opens one blob a model, and what it imports from shards it writes three times",
            source="server/create.go of ollama 0.24 and 0.33, and its issue 5245",
            date="2026-11-22",
        ),
    ),
    takes=DealsLayers(
        experts_in_host=False, prompt_cache=False, chooses_memory=False, steps=(512,)
    ),
    settings=_SETTINGS,
    settings_without_cards=_SETTINGS,
    parsers=None,
    plans=_PLANS,
    adapters=ONE_ADAPTER_IN_GGUF,
    # Source: llm/llama_server.go, NewLlamaServerRunner, pooling_type.
    tasks_by_file=True,
    rules=rules.GGML,
    failures=(
        *GGUF,
        known(
            "process",
            r"llama runner process (?:has terminated|no longer running): (?P<status>.*\S)",
            "The process of {engine} that computes has ended by itself ({status}): what it printed"
            " before that says why: journalctl -u ollama",
            "Ollama, llm/server.go",
        ),
        known(
            "host memory",
            r"model requires more system memory \((?P<needed>[^)]+)\) than is available"
            r" \((?P<free>[^)]+)\)",
            "The model needs {needed} of host memory, and {free} are free: stop what else uses it,"
            " or set a smaller context or serve a smaller model",
            "Ollama, llm/server.go",
        ),
    ),
)
