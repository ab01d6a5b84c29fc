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
from deploys.planning.models.model import Model

# Weights that share a scale, by the beginning of a quantization's name, where a model says nothing
# else. Weights in FP8 do so in both directions. Those of MXFP4 are padded by the engines.
_GROUPS = {"AWQ": 128, "GPTQ": 128, "W4A": 128, "INT4": 32, "NVFP4": 16, "FP8": 128}
_IN_BLOCKS = "FP8"
# The smallest blocks that vLLM cuts those of experts into, for its kernels in Triton alone.
_FINEST = 32


def divides(model: Model, tensor: int) -> bool:
    """Heads are dealt out whole; with fewer heads of keys and values than cards, these repeat."""
    if tensor == 1:
        return True
    if model.heads % tensor:
        return False
    if model.kv_lora_rank is None and model.kv_heads % tensor and tensor % model.kv_heads:
        return False
    if model.linear_key_heads % tensor or model.linear_value_heads % tensor:
        return False
    group, blocks = group_of(model)
    if any(width % (tensor * group) for width in _inputs(model)):
        return False
    return not blocks or all(width % group == 0 for width in _columns(model, tensor))


def divides_for(engine: FillsCards, model: Model, tensor: int, gpu: Accelerator | None) -> bool:
    """Whether the engine divides it so when told to.

    Where the blocks of experts do not divide, some cut them finer for kernels that need FP8 on the
    card.
    """
    if divides(model, tensor):
        return True
    group, blocks = group_of(model)
    refined = blocks and group > 1 and engine.refines_fp8 and gpu is not None and gpu.fp8
    if not refined or model.shared_experts or model.expert_intermediate % tensor:
        return False
    finer = math.gcd(group, model.expert_intermediate // tensor, model.hidden)
    return finer >= _FINEST and divides(replace(model, expert_intermediate=0), tensor)


def group_of(model: Model) -> tuple[int, bool]:
    """Weights that share a scale, and whether rows share it, too."""
    name = model.quantization.upper()
    usual = next((group for begins, group in _GROUPS.items() if name.startswith(begins)), 1)
    return model.scale_group or usual, name.startswith(_IN_BLOCKS)


def _inputs(model: Model) -> Iterator[int]:
    """Widths of the matrices whose inputs are dealt out; gates and ups have the same."""
    shared = model.shared_experts * model.expert_intermediate
    values = model.heads * (model.v_head_dim or model.head_dim)
    states = model.linear_value_heads * model.linear_head_dim
    widths = (model.intermediate, model.expert_intermediate, shared, values, states)
    yield from (width for width in widths if width)


def _columns(model: Model, tensor: int) -> Iterator[int]:
    """Of one card, the outputs of the matrices that attention begins with."""
    heads = model.heads // tensor
    if model.kv_lora_rank is None:
        yield heads * model.head_dim
        yield max(1, model.kv_heads // tensor) * model.head_dim
    else:
        keys = model.nope_head_dim or model.head_dim
        yield heads * (keys + (model.rope_head_dim or 0))
        yield heads * (keys + (model.v_head_dim or model.head_dim))
    yield model.linear_key_heads // tensor * model.linear_head_dim
