"""Models that make vectors of texts, and models that rank them: for search, not for answers."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.models.shapes import Network
from deploys.planning.models.variants import gguf, original

# Its files have no output head: nothing is written.
QWEN_3_EMBEDDING_0_6B = Network(
    name="Qwen3-Embedding-0.6B",
    repository="Qwen/Qwen3-Embedding-0.6B",
    parameters=595_776_512,
    layers=28,
    hidden=1024,
    heads=16,
    kv_heads=8,
    head_dim=128,
    vocabulary=151_669,
    tied_embeddings=True,
    intermediate=3072,
    context=32_768,
    dialect="plain",
    task="embed",
    licence="Apache-2.0",
)
QWEN_3_EMBEDDING_8B = replace(
    QWEN_3_EMBEDDING_0_6B,
    name="Qwen3-Embedding-8B",
    repository="Qwen/Qwen3-Embedding-8B",
    parameters=7_567_295_488,
    layers=36,
    hidden=4096,
    heads=32,
    vocabulary=151_665,
    intermediate=12_288,
    context=40_960,
)
# XLM-RoBERTa, whose first two places are for padding.
BGE_M3 = Network(
    name="bge-m3",
    repository="BAAI/bge-m3",
    parameters=567_754_752,
    layers=24,
    hidden=1024,
    heads=16,
    kv_heads=16,
    head_dim=64,
    vocabulary=250_002,
    tied_embeddings=True,
    intermediate=4096,
    context=8192,
    dialect="plain",
    task="embed",
    causal=False,
    gated_feed_forward=False,
    licence="MIT",
)
BGE_RERANKER_V2_M3 = replace(
    BGE_M3,
    name="bge-reranker-v2-m3",
    repository="BAAI/bge-reranker-v2-m3",
    parameters=567_755_777,
    task="rerank",
    licence="Apache-2.0",
)
QWEN_3_RERANKER_0_6B = replace(
    QWEN_3_EMBEDDING_0_6B,
    name="Qwen3-Reranker-0.6B",
    repository="Qwen/Qwen3-Reranker-0.6B",
    context=40_960,
    task="rerank",
    verdict=("no", "yes"),
)

_NOMINAL = "shape: config.json; size: parameters by width"
_LISTED = "shape: config.json; size: a listing, in MB"
# The vendor has bge-m3 as a pickle alone.
_GPUSTACK = {name: f"gpustack/{name}-GGUF" for name in (BGE_M3.name, BGE_RERANKER_V2_M3.name)}

EMBEDDINGS = (
    original(QWEN_3_EMBEDDING_0_6B, "BF16", 1_191_600_000, _NOMINAL),
    gguf(
        QWEN_3_EMBEDDING_0_6B,
        "Q8_0",
        639_150_592,
        "shape: config.json; size: as quoted with its sha256",
        repository="Qwen/Qwen3-Embedding-0.6B-GGUF",
    ),
    original(QWEN_3_EMBEDDING_8B, "BF16", 15_134_600_000, _NOMINAL),
    gguf(
        QWEN_3_EMBEDDING_8B,
        "Q8_0",
        8_050_000_000,
        _LISTED,
        repository="Qwen/Qwen3-Embedding-8B-GGUF",
    ),
    gguf(BGE_M3, "Q8_0", 635_000_000, _LISTED, repository=_GPUSTACK[BGE_M3.name]),
    original(BGE_RERANKER_V2_M3, "F32", 2_271_000_000, _NOMINAL),
    gguf(
        BGE_RERANKER_V2_M3,
        "Q8_0",
        636_000_000,
        _LISTED,
        repository=_GPUSTACK[BGE_RERANKER_V2_M3.name],
    ),
    # What is published of it as GGUF was mostly made before its score was kept.
    original(QWEN_3_RERANKER_0_6B, "BF16", 1_191_600_000, _NOMINAL),
)
