"""KTransformers: built on SGLang, with the experts in host memory."""

from __future__ import annotations

from deploys.planning.engines import quantizations, rules
from deploys.planning.engines.base import (
    HONOURED,
    NOTHING_TO_COPY,
    NOTHING_TO_MERGE,
    OF_LLAMA_CPP,
    OF_THE_WEIGHTS,
    OF_VLLM_AND_SGLANG,
    ONE_COPY,
    ONE_PERFORMANCE,
    DealsLayers,
    Engine,
    Metrics,
    Reads,
    ServiceSettings,
    Setting,
    SplitGguf,
    ignored,
)
from deploys.planning.engines.failures.known import known
from deploys.planning.engines.failures.sglang import SGLANG
from deploys.planning.engines.failures.torch import TORCH
from deploys.planning.engines.rules import Rule
from deploys.planning.engines.software import FromLock, Recipe
from deploys.planning.models import parsers
from deploys.planning.options import planned

_SETTINGS = ServiceSettings(
    task=Setting(
        values=("generate",),
        why="it is for the experts of models that write answers",
        hint="Serve it with llama.cpp or vLLM, or set another task",
    ),
    context=HONOURED,
    parallel=HONOURED,
    tensor_parallel=OF_VLLM_AND_SGLANG,
    pipeline_parallel=Setting(values=(1,), why="its layers are on one card"),
    replicas=ONE_COPY,
    kv_cache=ignored("its cache is in the model's own type"),
    performance=ONE_PERFORMANCE,
    gpu_memory_utilization=OF_VLLM_AND_SGLANG,
    gpu_layers=OF_LLAMA_CPP,
    cpu_experts=OF_LLAMA_CPP,
    min_tokens_per_second=HONOURED,
    reasoning_parser=HONOURED,
    tool_parser=HONOURED,
    chat_template=HONOURED,
    sampling=OF_THE_WEIGHTS,
    options=HONOURED,
    adapters=ignored(
        "its experts in host memory take none",
        "Leave adapters out, or serve the model with vLLM or SGLang",
    ),
    merge=NOTHING_TO_MERGE,
    allow_copy=NOTHING_TO_COPY,
)

_PLANS = {
    **planned.OF_SGLANG,
    "max-total-tokens": "context",
    **dict.fromkeys(
        ("kt-weight-path", "kt-method", "kt-cpuinfer", "kt-threadpool-count"),
        "",
    ),
    "kt-num-gpu-experts": "",
}

KTRANSFORMERS = Engine(
    name="ktransformers",
    title="KTransformers",
    unit="ktransformers@{}.service",
    shared=(),
    model_id="{}",
    software=FromLock(
        recipes={
            # Its kernels, kt_kernel and sgl_kernel, look for a card when they are imported.
            "ktransformers-cuda12": Recipe(
                package="ktransformers",
                imports=("torch", "sglang"),
                cuda_compiler="on the machine",
            ),
        }
    ),
    # Source: wheel metadata, read 2026-11-22.
    glibc=(2, 35),
    reads=Reads(
        formats=("safetensors",),
        other=Rule(
            verdict="refuse",
            what="it takes the experts alone from a GGUF, and the rest from the original weights;"
            " this version fetches only one of the two",
            hint="Choose the original weights in FP8, BF16 or INT4, or serve this GGUF with"
            " llama.cpp and its experts in host memory",
            source="kt-kernel README",
            date="2026-11-25",
        ),
        quantizations=quantizations.KTRANSFORMERS,
        split_gguf=SplitGguf(
            shards=True,
            source="takes a folder: kvcache-ai/ktransformers issues 161, 168, 589",
            date="2026-11-22",
        ),
    ),
    takes=DealsLayers(experts_in_host=True, prompt_cache=False, chooses_memory=False, steps=(512,)),
    settings=_SETTINGS,
    settings_without_cards=_SETTINGS,
    parsers=parsers.ktransformers,
    plans=_PLANS,
    metrics=Metrics(
        running="sglang:num_running_reqs",
        waiting="sglang:num_queue_reqs",
        cache="sglang:token_usage",
        read="sglang:prompt_tokens_total",
        written="sglang:generation_tokens_total",
        source="SGLang of KTransformers 0.7.2, srt/observability/metrics_collector.py",
    ),
    rules=(
        Rule(
            formats=("safetensors",),
            isas=("x86-64-v3",),
            verdict="refuse",
            what="its kernels for such experts need AVX-512",
            hint="Serve a GGUF variant with llama.cpp, which builds for this CPU",
            source="kt-kernel README, CPU requirements by backend",
            date="2026-11-25",
        ),
        Rule(
            quantizations=("FP8", "BF16"),
            isas=("x86-64-v4",),
            verdict="warn",
            what="its kernels for FP8 and BF16 want AVX512_BF16 as well, which Ice Lake lacks",
            hint="Look for avx512_bf16 in /proc/cpuinfo",
            source="kt-kernel README, CPU requirements by backend",
            date="2026-11-25",
        ),
        Rule(
            generations=("blackwell",),
            verdict="refuse",
            what="its published kernels stop at compute capability 9.0",
            hint="Serve the model with llama.cpp and its experts in host memory",
            source="kt-kernel wheel metadata: SM 80, 86, 89, 90",
            date="2026-11-22",
        ),
        Rule(
            isas=("x86-64-v1", "x86-64-v2", "aarch64"),
            verdict="refuse",
            what="its CPU kernels need AVX2",
            hint="Serve the model with llama.cpp, which builds for this CPU",
            source="kt-kernel README",
            date="2026-11-22",
        ),
        *rules.SGLANG,
        *rules.TORCH,
    ),
    failures=(
        known(
            "compiler",
            r"Could not find (CUDA installation|nvcc)|bin/nvcc: not found",
            "Kernels are compiled at the first start, and CUDA's compiler is not on the machine:"
            " run deploys.stages.nvidia.install, which brings it",
            "tvm_ffi 0.1.11, cpp/extension.py; FlashInfer 0.7.0, jit/cpp_ext.py; sh",
        ),
        *SGLANG,
        *TORCH,
    ),
)
