"""The share of a card's memory that an engine takes by default."""

from __future__ import annotations

from deploys.planning.models.model import Model
from deploys.planning.placement.memory import GIB, MIB, Card

# vLLM's --gpu-memory-utilization (0.33, vllm/config/cache.py).
VLLM = 0.92

# SGLang, by the memory of a card: tokens of a prefill chunk, largest batch of the decoding graphs
# below and from four cards that share layers, graphs of prefill. Source for all below: sglang
# 0.5.23, arg_groups/memory_hook.py and cuda_graph_hook.py.
_SGLANG = (
    (160 * GIB, 16384, (512, 512), 74),
    (60 * GIB, 8192, (256, 512), 58),
    (35 * GIB, 4096, (32, 160), 50),
    (20 * GIB, 4096, (48, 160), 50),
    (0, 2048, (8, 8), 42),
)


def sglang(model: Model, tensor_parallel: int, pipeline_parallel: int, card: Card) -> float:
    """Return the default of SGLang's --mem-fraction-static, for weights and cache, to three digits.

    The rest is 512 MiB, 1.5 for each token of a chunk, 2 for each request of the largest graph, 8
    for each graph of prefill (1536 for all of them with MLA), and 1 GiB for every eight cards of a
    replica; at least 10 GiB on cards above 60.
    """
    chunk, batches, graphs = next(row[1:] for row in _SGLANG if card.total >= row[0])
    batch = batches[tensor_parallel >= 4]
    prefill = 1536 if model.kv_lora_rank is not None else graphs * 8
    kept = (512 + batch * 2 + prefill) * MIB + chunk * 3 * MIB // 2
    kept += tensor_parallel * pipeline_parallel * GIB // 8
    if card.total > 60 * GIB:
        kept = max(kept, 10 * GIB)
    return round(1 - kept / card.total, 3)
