"""Made-up networks as entries of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network
from tests.gpu.networks import DEPLOYED
from tests.gpu.shapes import SHAPES, Shape


def made_up(name: str, size: int) -> Model:
    """One of either kind by its name, and the size of its files in bytes."""
    if name in SHAPES:
        return entry(SHAPES[name], size)
    # None of them has further files, nor layers that predict more than a token.
    model = DEPLOYED[name].model
    network = replace(model.network, mtp_layers=0)
    return replace(model, network=network, size=size, files=("*.safetensors", "*.json"))


def entry(shape: Shape, size: int) -> Model:
    """What config.json would say of the shape, and the size of its files in bytes."""
    network = Network(
        name=shape.name,
        parameters=sum(prod(weight.shape) for weight in shape.weights()),
        layers=shape.layers,
        hidden=shape.hidden,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        kv_lora_rank=shape.kv_lora_rank,
        rope_head_dim=shape.rope_head_dim or None,
        q_lora_rank=shape.q_lora_rank or None,
        vocabulary=shape.vocabulary,
        tied_embeddings=shape.tied,
        intermediate=shape.feed_forward,
        experts=shape.experts,
        experts_used=shape.active_experts,
        shared_experts=1 if shape.experts else 0,
        expert_intermediate=shape.expert_feed_forward,
        dense_layers=shape.dense_layers,
        context=131_072,
        licence="none",
    )
    return Model(
        key=shape.name,
        title=shape.name,
        network=network,
        format="gguf",
        quantization=shape.quantization,
        files=("*.gguf",),
        size=size,
        source="tests/gpu/shapes.py",
    )
