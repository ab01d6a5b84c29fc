"""The shape of a network, shared by its variants in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network; numbers as in its config.json, fields as in model.py.

    A test checks them: multiplied out, they give the published number of parameters.

    + repository: the vendor's own on Hugging Face
    + modelscope: on ModelScope, if it has another name there
    """

    name: str
    repository: str
    modelscope: str | None = None
    parameters: int
    active_parameters: int | None = None
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int = 128
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    q_lora_rank: int | None = None
    nope_head_dim: int | None = None
    v_head_dim: int | None = None
    index_head_dim: int | None = None
    index_heads: int = 0
    full_attention_interval: int = 1
    sliding_window: int | None = None
    linear_key_heads: int = 0
    linear_value_heads: int = 0
    linear_head_dim: int = 0
    gated_attention: bool = False
    vocabulary: int
    intermediate: int
    experts: int = 0
    experts_used: int = 0
    shared_experts: int = 0
    expert_intermediate: int = 0
    dense_layers: int = 0
    mtp_layers: int = 0
    context: int
    licence: str
