"""What names, types and shapes of tensors show of a quantization, by marks that nothing else has.

AWQ, GPTQ, NVFP4 and so on; W4A16 is weights packed as compressed-tensors has them, of any bits, and
W8A8 integers of 8 bits with scales. Several kinds of layers leave several marks, and weights that
are not quantized none.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..lib.failure import Failure
from .safetensors import SafetensorsTensor

Tensors = Mapping[str, SafetensorsTensor]

# Powers of two, as a type of their own or as the bytes of their exponents.
_POWERS = ("U8", "F8_E8M0")
_FP8 = ("F8_E4M3", "F8_E4M3FNUZ")
# Elements of MXFP8 that share one.
_IN_MXFP8 = 32


def marks(tensors: Tensors) -> set[str]:
    """Return the marks that are there; raise Failure if packed weights have no scales."""
    found = {_mark(name, tensor, tensors) for name, tensor in tensors.items()}
    return {mark for mark in found if mark}


def scales_of(name: str, tensors: Tensors) -> SafetensorsTensor | None:
    """Return the scales of a weight, under whichever name they have."""
    stem = name.rpartition(".")[0]
    names = (f"{name}_scale_inv", f"{name}_scale", f"{stem}.scale")
    return next((tensors[each] for each in names if each in tensors), None)


def is_fp8(name: str, tensor: SafetensorsTensor) -> bool:
    """Whether a tensor is weights in FP8, and not scales."""
    return tensor.dtype in _FP8 and "scale" not in name.rpartition(".")[2]


def _mark(name: str, tensor: SafetensorsTensor, tensors: Tensors) -> str:
    stem, _, last = name.rpartition(".")
    if last == "qweight":
        return _packing(stem, tensor, tensors)
    if last == "absmax" or "quant_state" in name:
        return "BITSANDBYTES"
    if last == "B" and f"{stem}.s" in tensors:
        return "MARLIN"
    scales = scales_of(name, tensors)
    if last == "weight_packed":
        scales = tensors.get(f"{stem}.weight_scale")
        if f"{stem}.weight_global_scale" in tensors:
            return "NVFP4"
        return "MXFP4" if scales and scales.dtype in _POWERS else "W4A16"
    if last == "weight" and f"{stem}.weight_scale_2" in tensors:
        return "NVFP4"
    if last.endswith("_blocks") and f"{name[: -len('blocks')]}scales" in tensors:
        return "MXFP4"
    if is_fp8(name, tensor):
        return "MXFP8" if scales and _is_mxfp8(tensor, scales) else "FP8"
    if scales is None or tensor.dtype not in ("I8", "U8"):
        return ""
    if scales.dtype in _POWERS:
        return "MXFP4"
    return "W8A8" if tensor.dtype == "I8" else ""


def _is_mxfp8(weight: SafetensorsTensor, scales: SafetensorsTensor) -> bool:
    in_32 = bool(weight.shape and scales.shape) and scales.shape[-1] * _IN_MXFP8 == weight.shape[-1]
    return scales.dtype in _POWERS and in_32


def _packing(stem: str, weight: SafetensorsTensor, tensors: Tensors) -> str:
    scales = tensors.get(f"{stem}.scales")
    if scales is None or len(weight.shape) != 2 or len(scales.shape) != 2:
        raise Failure(f"{stem}.qweight has no scales of its own")
    if f"{stem}.g_idx" in tensors or weight.shape[1] == scales.shape[1]:
        return "GPTQ"
    # Outputs come first in both, where inputs do in AWQ's usual layout.
    return "AWQ-GEMV" if weight.shape[0] == scales.shape[0] else "AWQ"
