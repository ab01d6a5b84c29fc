"""Among how many cards the layers of a model can be divided, as engines check it themselves.

Quantized weights share a scale in groups, or in blocks of the same width and height, and none of
these is cut in two. tests/unit/data/division.yaml has the engines' own checks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from deploys.planning.engines.base import FillsCards
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.profile import Service
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network

# Weights that share a scale, by the beginning of a quantization's name, where a model says nothing
# else. Weights in FP8 do so in both directions. Those of MXFP4 are padded by the engines.
_GROUPS = {"AWQ": 128, "GPTQ": 128, "W4A": 128, "INT4": 32, "NVFP4": 16, "FP8": 128}
_GROUPS |= {"MXFP8": 32, "W8A8-BLOCK": 128}
_IN_BLOCKS = "FP8"
# A vocabulary is padded to a multiple of this, and dealt out then.
_PADDED = 64
# The smallest blocks that vLLM cuts those of experts into, for its kernels in Triton alone.
_FINEST = 32


def divides(model: Model, tensor: int) -> bool:
    """Heads are dealt out whole; with fewer heads of keys and values than cards, these repeat.

    DeepSeek-V4's groups of heads are, too (vLLM 0.32, models/deepseek_v4/attention.py,
    n_local_groups).
    """
    network = model.network
    if tensor == 1:
        return True
    if network.heads % tensor or (network.window_heads or 0) % tensor:
        return False
    if network.kv_lora_rank is None and network.kv_heads % tensor and tensor % network.kv_heads:
        return False
    if network.vocabulary and -(-network.vocabulary // _PADDED) * _PADDED % tensor:
        return False
    if network.compressed is not None and network.compressed.output_groups % tensor:
        return False
    if network.linear_key_heads % tensor or network.linear_value_heads % tensor:
        return False
    group, blocks = group_of(model)
    if any(width % (tensor * group) for width in _inputs(network)):
        return False
    return not blocks or all(width % group == 0 for width in _columns(network, tensor))


def may_be_cut(service: Service, model: Model, tensor: int, pipeline: int) -> bool:
    """Return whether a model has such a cut, and its operator wants none but this."""
    return (
        (divides(model, tensor) or tensor == service.tensor_parallel)
        and pipeline <= model.network.layers
        and service.tensor_parallel in (None, tensor)
        and service.pipeline_parallel in (None, pipeline)
    )


def divides_for(engine: FillsCards, model: Model, tensor: int, gpu: Accelerator | None) -> bool:
    """Whether the engine divides it so when told to.

    Where the blocks of experts do not divide, some cut them finer for kernels that need FP8 on the
    card.
    """
    network = model.network
    if divides(model, tensor):
        return True
    group, blocks = group_of(model)
    refined = blocks and group > 1 and engine.refines_fp8 and gpu is not None and gpu.fp8
    if not refined or network.shared_experts or network.expert_intermediate % tensor:
        return False
    finer = math.gcd(group, network.expert_intermediate // tensor, network.hidden)
    return finer >= _FINEST and divides(
        replace(model, network=replace(model.network, expert_intermediate=0)), tensor
    )


def group_of(model: Model) -> tuple[int, bool]:
    """Weights that share a scale, and whether rows share it, too."""
    name = model.quantization
    usual = next((group for begins, group in _GROUPS.items() if name.startswith(begins)), 1)
    return model.scale_group or usual, name.startswith(_IN_BLOCKS)


def _inputs(network: Network) -> Iterator[int]:
    """Widths of the matrices whose inputs are dealt out; gates and ups have the same."""
    shared = network.shared_experts * network.expert_intermediate
    values = network.heads * (network.v_head_dim or network.head_dim)
    states = network.linear_value_heads * network.linear_head_dim
    widths = (network.intermediate, network.expert_intermediate, shared, values, states)
    yield from (width for width in widths if width)


def _columns(network: Network, tensor: int) -> Iterator[int]:
    """Of one card, the outputs of the matrices that attention begins with."""
    heads = network.heads // tensor
    if network.kv_lora_rank is None:
        yield heads * network.head_dim
        yield max(1, network.kv_heads // tensor) * network.head_dim
    else:
        keys = network.nope_head_dim or network.head_dim
        yield heads * (keys + (network.rope_head_dim or 0))
        yield heads * (keys + (network.v_head_dim or network.head_dim))
    yield network.linear_key_heads // tensor * network.linear_head_dim
