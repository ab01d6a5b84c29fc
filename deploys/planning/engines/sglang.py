"""SGLang."""

from __future__ import annotations

from deploys.planning.engines import quantizations, rules
from deploys.planning.engines.base import (
    CACHE_IN_FP8,
    HONOURED,
    NO_RERANKING,
    NOTHING_TO_COPY,
    NOTHING_TO_MERGE,
    OF_LLAMA_CPP,
    OF_THE_WEIGHTS,
    Adapters,
    Engine,
    FillsCards,
    Metrics,
    Reads,
    ServiceSettings,
    SplitGguf,
)
from deploys.planning.engines.failures.division import DIVISION
from deploys.planning.engines.failures.sglang import SGLANG as SGLANG_FAILURES
from deploys.planning.engines.failures.torch import TORCH
from deploys.planning.engines.filled_cards import Kept, MlaCache, Step
from deploys.planning.engines.rules import Rule
from deploys.planning.engines.software import FromLock, Recipe
from deploys.planning.models import parsers
from deploys.planning.options import planned

_SETTINGS = ServiceSettings(
    task=NO_RERANKING,
    machines=HONOURED,
    context=HONOURED,
    parallel=HONOURED,
    tensor_parallel=HONOURED,
    pipeline_parallel=HONOURED,
    replicas=HONOURED,
    kv_cache=CACHE_IN_FP8,
    performance=HONOURED,
    gpu_memory_utilization=HONOURED,
    gpu_layers=OF_LLAMA_CPP,
    cpu_experts=OF_LLAMA_CPP,
    min_tokens_per_second=HONOURED,
    reasoning_parser=HONOURED,
    tool_parser=HONOURED,
    chat_template=HONOURED,
    sampling=OF_THE_WEIGHTS,
    options=HONOURED,
    adapters=HONOURED,
    merge=NOTHING_TO_MERGE,
    allow_copy=NOTHING_TO_COPY,
)

_PLANS = {
    **planned.OF_SGLANG,
    **dict.fromkeys(
        (
            *("enable-lora", "lora-paths", "max-lora-rank", "max-loras-per-batch"),
            *("max-loaded-loras", "lora-target-modules"),
        ),
        "adapters",
    ),
    "kv-cache-dtype": "kv_cache",
    "tp-size": "tensor_parallel",
    "pp-size": "pipeline_parallel",
    "dp-size": "replicas",
    "nnodes": "machines",
    "schedule-conservativeness": "performance",
    "speculative-algorithm": "performance",
    "speculative-num-steps": "performance",
    "speculative-eagle-topk": "performance",
    "speculative-num-draft-tokens": "performance",
    "attn-dp-size": "performance",
    "cuda-graph-max-bs-decode": "parallel",
    "chunked-prefill-size": "performance",
    **dict.fromkeys(
        (
            *("ssl-keyfile", "ssl-certfile", "stream-response-default-include-usage"),
            *("SGLANG_PYSPY_DUMP_BEFORE_CRASH", "SGLANG_CUDA_COREDUMP_BEFORE_CRASH"),
        ),
        "",
    ),
}

SGLANG = Engine(
    name="sglang",
    title="SGLang",
    unit="sglang@{}.service",
    shared=(),
    model_id="{}",
    software=FromLock(
        recipes={
            "sglang-cuda13": Recipe(
                package="sglang",
                imports=("torch", "sglang", "flashinfer"),
                cuda_compiler="in the lock",
                # Of top_k and top_p. Source: FlashInfer 0.7, jit/sampling.py.
                kernels=("sampling",),
            ),
        }
    ),
    # For ROCm as for CUDA. Source: wheel metadata, read 2026-11-22.
    glibc=(2, 34),
    reads=Reads(
        formats=("safetensors",),
        other=rules.NO_GGUF,
        quantizations=quantizations.SGLANG,
        split_gguf=SplitGguf(
            shards=False,
            why="it opens one file, whatever its documentation says",
            source="sgl-project/sglang issue 28209",
            date="2026-11-22",
        ),
    ),
    takes=FillsCards(
        # --mem-fraction-static. Source: sglang 0.5.23, arg_groups/memory_hook.py and
        # cuda_graph_hook.py.
        share=(
            Kept(gib=160, chunk=16384, batches=(512, 512), graphs=74),
            Kept(gib=60, chunk=8192, batches=(256, 512), graphs=58),
            Kept(gib=35, chunk=4096, batches=(32, 160), graphs=50),
            Kept(gib=20, chunk=4096, batches=(48, 160), graphs=50),
            Kept(gib=0, chunk=2048, batches=(8, 8), graphs=42),
        ),
        share_of="weights and cache",
        # Those of vLLM; not confirmed.
        steps=(
            Step(gib=160, tokens=16384, sequences=1024),
            Step(gib=70, tokens=8192, sequences=1024),
            Step(gib=0, tokens=2048, sequences=256),
        ),
        doubles_steps=False,
        unpacks_awq=False,
        counts_tokens=False,
        splits_cache=False,
        refines_fp8=False,
        mla=MlaCache(whole="attention", replicas=False),
        experts_of_replicas="own",
        cpu_build=False,
    ),
    settings=_SETTINGS,
    settings_without_cards=_SETTINGS,
    parsers=parsers.sglang,
    # A request names it behind the service. Source: SGLang 0.5.23, _parse_model_parameter of
    # serving_base.py; max_loras_per_batch of fields/lora.py; init_lora_shapes of lora_manager.py.
    adapters=Adapters(
        format="safetensors", model_id="{service}:{adapter}", without=True, patterns=False
    ),
    plans=_PLANS,
    # Source: SGLang 0.5.23, server_args.py: init_new, DP_ATTENTION_HANDSHAKE_PORT_DELTA.
    meeting_ports=(*range(7), 13),
    metrics=Metrics(
        running="sglang:num_running_reqs",
        waiting="sglang:num_queue_reqs",
        cache="sglang:token_usage",
        read="sglang:prompt_tokens_total",
        written="sglang:generation_tokens_total",
        source="SGLang 0.5.23, srt/observability/metrics_collector.py",
    ),
    rules=(
        Rule(
            quantizations=("FP8", "W4AFP8"),
            generations=("volta", "ampere"),
            verdict="refuse",
            what="its FP8 kernels need compute capability 8.9",
            hint="Serve it with vLLM, which keeps the weights in FP8 and computes in 16 bit, or"
            " choose an AWQ variant",
            source="SGLang documentation of DeepSeek-V3",
            date="2026-11-22",
        ),
        *rules.SGLANG,
        *rules.TORCH,
    ),
    failures=(*SGLANG_FAILURES, *DIVISION, *TORCH),
)
