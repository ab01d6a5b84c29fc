"""DeepSeek-V4's networks of the catalogue: one entry of the cache stands for several tokens."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.models.shapes import Compressed, Network

# No layer is dense, so its width is that of the shared expert.
V4_FLASH = Network(
    name="DeepSeek-V4-Flash-0731",
    repository="deepseek-ai/DeepSeek-V4-Flash-0731",
    parameters=284_000_000_000,
    active_parameters=13_000_000_000,
    layers=43,
    hidden=4096,
    heads=64,
    kv_heads=64,
    head_dim=512,
    kv_lora_rank=448,
    rope_head_dim=64,
    q_lora_rank=1024,
    index_head_dim=128,
    index_heads=64,
    index_layers=tuple(range(2, 43, 2)),
    compressed=Compressed(ratios=(1, 1, *(4, 128) * 20, 4), output_groups=8, output_rank=1024),
    sliding_window=128,
    vocabulary=129_280,
    intermediate=2048,
    experts=256,
    experts_used=6,
    shared_experts=1,
    expert_intermediate=2048,
    mtp_layers=1,
    context=1_048_576,
    dialect="deepseek-v4",
    licence="MIT",
)
V4_PRO = replace(
    V4_FLASH,
    name="DeepSeek-V4-Pro",
    repository="deepseek-ai/DeepSeek-V4-Pro",
    parameters=1_573_000_000_000,
    active_parameters=49_000_000_000,
    layers=61,
    hidden=7168,
    heads=128,
    kv_heads=128,
    q_lora_rank=1536,
    index_layers=tuple(range(2, 61, 2)),
    compressed=Compressed(ratios=(128, 128, *(4, 128) * 29, 4), output_groups=16, output_rank=1024),
    intermediate=3072,
    experts=384,
    expert_intermediate=3072,
)
