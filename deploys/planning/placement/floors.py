"""Floors: the tokens per second that a single request must reach on the planned GPUs.

A machine far below its floor does not run as planned: a model that ended up on the CPU, half its
layers there, eager mode, one card where there should be eight.
"""

from __future__ import annotations

from deploys.planning.engines.base import DealsLayers
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.models.cache import cache_bytes
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.memory import Layout

# What is expected of a token: its bytes at 60 % of the memory's bandwidth, and in each layer the
# launch of kernels, the choice among experts, and an all-reduce among cards that share the layer.
# Seen on an H200, in milliseconds a token: llama.cpp, Qwen2.5-32B Q4_K_M 13.3 (here 13.1), 70B 23.1
# (22.5), 16 layers of DeepSeek-R1 5.5 (5.5), see tests/gpu/results; vLLM 0.24, 32B AWQ 12.0 (13.3),
# 20 layers of DeepSeek-R1 AWQ 5.2 (6.8). R1 AWQ with vLLM on eight H100: 16.1 (19.6), as published
# (tt-inference-server, issue 356).
EFFICIENCY = 0.6
_LAYER, _LAYER_OF_EXPERTS, _ALL_REDUCE = 100e-6, 200e-6, 100e-6
# What a step of one request waits for between machines, not confirmed: a vector that is handed to
# the next stage or, once it is a token, back to the first; and where cards of several machines
# share a layer, what its all-reduce takes more.
_HOP, _ALL_REDUCE_BETWEEN = 100e-6, 100e-6
# Tokens that are in the cache when it is measured.
_DEPTH = 256
# A floor finds what is wrong with a machine, not what could be better: half of what is expected. Of
# weights that llama.cpp looks up in codebooks (IQ1 to IQ4) bandwidth is not all: the slowest of the
# published runs on cards alone, DeepSeek-R1 in IQ1_S, came to 24 % of what is expected
# (tests/unit/data/floors.yaml).
_SHARE, _SHARE_OF_CODEBOOKS = 0.5, 0.23
_CODEBOOKS = ("IQ", "UD-IQ")


def floor(model: Model, size: int, placement: Placement, gpu: Accelerator | None) -> float | None:
    """Return the floor in tokens per second, or None if part of the model is in host memory.

    The speed of host memory is not known in advance.

    + size: bytes of the model's files
    """
    if gpu is None or not placement.groups or _in_host_memory(model, placement):
        return None
    expected = 1 / token_seconds(model, size, gpu, placement)
    looked_up = model.quantization.startswith(_CODEBOOKS)
    return float(f"{(_SHARE_OF_CODEBOOKS if looked_up else _SHARE) * expected:.2g}")


def token_seconds(
    model: Model, size: int, gpu: Accelerator, layout: Placement | Layout, *, tokens: float = 1
) -> float:
    """Return the seconds that a token is expected to take: of a single request, or of so many.

    Of those, the cache is that of one.
    """
    network = model.network
    # Stages of a pipeline, and layers that llama.cpp deals to several cards, come one by one; cards
    # that attend to requests of their own share a single one's experts alone.
    cards = layout.tensor_parallel
    others, experts = _bytes_read(model, size, tokens)
    attending = cards // layout.data_parallel
    cache = _DEPTH * cache_bytes(model, layout.kv_cache)
    read = (others + cache) / attending + experts / cards
    layer = (_LAYER_OF_EXPERTS if network.experts else _LAYER) + (_ALL_REDUCE if cards > 1 else 0)
    hops = layout.machines if layout.machines > 1 else 0
    if layout.machines > layout.pipeline_parallel:
        layer += _ALL_REDUCE_BETWEEN
    return read / (EFFICIENCY * gpu.bandwidth) + network.layers * layer + hops * _HOP


def _in_host_memory(model: Model, placement: Placement) -> bool:
    takes = ENGINES[placement.engine].takes
    if placement.cpu_experts or (isinstance(takes, DealsLayers) and takes.experts_in_host):
        return True
    # The output head counts as a layer.
    return placement.gpu_layers is not None and placement.gpu_layers <= model.network.layers


def _bytes_read(model: Model, size: int, tokens: float) -> tuple[float, float]:
    """Return the bytes of weights that a step reads: of all but the routed experts, and of these.

    Further tokens have experts of their own, and some of those that are read already.
    """
    network = model.network
    split = parts(model, size)
    routed = sum(split.experts[: network.layers])
    others = 1 - network.experts_used / network.experts if network.experts else 1.0
    used = routed * (1 - others**tokens)
    # Of the token embedding one row is read, unless it is the output head, too.
    head = split.head or split.embedding
    return head + sum(split.layers[: network.layers]) - routed, used
