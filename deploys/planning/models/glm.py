"""GLM's networks of the catalogue."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.models.shapes import Network

GLM_4_6 = Network(
    name="GLM-4.6",
    repository="zai-org/GLM-4.6",
    modelscope="ZhipuAI/GLM-4.6",
    parameters=355_000_000_000,
    active_parameters=32_000_000_000,
    layers=92,
    hidden=5120,
    heads=96,
    kv_heads=8,
    head_dim=128,
    vocabulary=151_552,
    intermediate=12_288,
    experts=160,
    experts_used=8,
    shared_experts=1,
    expert_intermediate=1536,
    dense_layers=3,
    mtp_layers=1,
    context=202_752,
    dialect="glm-4.5",
    licence="MIT",
)
GLM_4_7 = replace(
    GLM_4_6,
    name="GLM-4.7",
    repository="zai-org/GLM-4.7",
    modelscope="ZhipuAI/GLM-4.7",
    dialect="glm-4.7",
)
GLM_5 = Network(
    name="GLM-5",
    repository="zai-org/GLM-5",
    modelscope="ZhipuAI/GLM-5",
    parameters=744_000_000_000,
    active_parameters=40_000_000_000,
    layers=78,
    hidden=6144,
    heads=64,
    kv_heads=64,
    head_dim=192,
    kv_lora_rank=512,
    rope_head_dim=64,
    q_lora_rank=2048,
    nope_head_dim=192,
    v_head_dim=256,
    index_head_dim=128,
    index_heads=32,
    vocabulary=154_880,
    intermediate=12_288,
    experts=256,
    experts_used=8,
    shared_experts=1,
    expert_intermediate=2048,
    dense_layers=3,
    mtp_layers=1,
    context=202_752,
    dialect="glm-4.7",
    licence="MIT",
)
