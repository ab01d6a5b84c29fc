"""Networks of the catalogue of whose every four layers three have linear attention."""

from __future__ import annotations

from deploys.planning.models.shapes import Network

QWEN_3_6_27B = Network(
    name="Qwen3.6-27B",
    repository="Qwen/Qwen3.6-27B",
    parameters=27_000_000_000,
    layers=64,
    hidden=5120,
    heads=24,
    kv_heads=4,
    head_dim=256,
    full_attention_interval=4,
    linear_key_heads=16,
    linear_value_heads=48,
    linear_head_dim=128,
    gated_attention=True,
    intermediate=17_408,
    vocabulary=248_320,
    mtp_layers=1,
    context=262_144,
    dialect="qwen3.5",
    licence="Apache-2.0",
)
# There is no dense layer, so its width is that of the shared expert.
QWEN_3_6_35B = Network(
    name="Qwen3.6-35B-A3B",
    repository="Qwen/Qwen3.6-35B-A3B",
    parameters=35_000_000_000,
    active_parameters=3_000_000_000,
    layers=40,
    hidden=2048,
    heads=16,
    kv_heads=2,
    head_dim=256,
    full_attention_interval=4,
    linear_key_heads=16,
    linear_value_heads=32,
    linear_head_dim=128,
    gated_attention=True,
    vocabulary=248_320,
    intermediate=512,
    experts=256,
    experts_used=8,
    shared_experts=1,
    expert_intermediate=512,
    mtp_layers=1,
    context=262_144,
    dialect="qwen3.5",
    licence="Apache-2.0",
)
