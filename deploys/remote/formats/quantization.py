"""The quantization of a safetensors folder, from its configuration and from its tensors.

Both must agree, or an engine loads garbage or nothing. Layouts are as vLLM's loaders expect them:
an AWQ weight is packed along its outputs ([in, out/8] of int32), a GPTQ weight along its inputs
([in/8, out]); FP8 in blocks has a scale for each block of a matrix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ..lib.failure import Failure
from . import tensor_marks
from .declared import declared
from .quantization_names import BY_TENSORS, PLAIN, joined
from .safetensors import SafetensorsTensor
from .scale_groups import Config, number
from .tensor_marks import Tensors, scales_of

# The marks of tensors (tensor_marks.py) that go with a name, by its beginning, the longest first.
# What is not here leaves none that nothing else has.
_MARKS = {
    "AWQ-GEMV": ("AWQ-GEMV",),
    "AWQ": ("AWQ",),
    "GPTQ": ("GPTQ",),
    "FP8-MXFP4": ("FP8", "MXFP4"),
    "FP8": ("FP8",),
    "MXFP8": ("MXFP8", "FP8"),
    "NVFP4-FP8": ("NVFP4", "FP8"),
    "NVFP4": ("NVFP4",),
    "MXFP4": ("MXFP4",),
    "INT4": ("W4A16",),
    **dict.fromkeys(
        ("W4A16-AUTOROUND", "W8A16-AUTOROUND", "W4A16-ASYM-AUTOROUND"), ("GPTQ", "AWQ", "W4A16")
    ),
    "W4A16-AWQ": (),
    "W4A16-MARLIN-24": (),
    "W4A16-QUARK": (),
    "W4A16": ("W4A16",),
    "W4AFP8-PACK": ("W4A16",),
    "W8A16": ("W4A16",),
    "W8A8": ("W8A8",),
    "W4A8": ("W8A8", "W4A16"),
}
_PACKED = ("AWQ", "GPTQ")


def quantization_of(configs: Mapping[str, Config], tensors: Tensors) -> str:
    """Return the name of the quantization; raise Failure if configuration and tensors disagree.

    `configs` holds the JSON files of the folder that describe it, by file name.
    """
    said = declared(configs)
    marks = tensor_marks.marks(tensors)
    if not said.name:
        shown = _listed(marks) or _type(tensors)
        if shown not in PLAIN:
            raise Failure(f"the tensors are {shown}, and no configuration says that they are")
        return shown
    wanted = _wanted(said.name)
    if wanted and not marks & set(wanted):
        there = _listed(marks) or _type(tensors)
        raise Failure(f"{said.where} says {said.name}, and the tensors are {there}")
    config = said.config or {}
    kind = next((kind for kind in _PACKED if kind in marks), None)
    # Some layers may have bits and groups of their own: "dynamic" of GPTQModel, and AutoRound's.
    if kind in wanted and not config.get("dynamic") and not config.get("extra_config"):
        _check_packed(kind, config, tensors)
    if said.name.startswith("FP8"):
        _check_blocks(config, tensors)
    if said.name == "FP8" and "MXFP4" in marks:
        return "FP8-MXFP4"
    if said.name not in BY_TENSORS or not marks:
        return said.name
    shown = joined(marks)
    return f"{shown}-QUARK" if said.name == "QUARK" else shown


def _wanted(name: str) -> tuple[str, ...]:
    fitting = [begin for begin in _MARKS if name == begin or name.startswith(f"{begin}-")]
    return _MARKS[max(fitting, key=len)] if fitting else ()


def _type(tensors: Tensors) -> str:
    """Return the type that most of the weights have."""
    types: Counter[str] = Counter()
    for tensor in tensors.values():
        types[tensor.dtype] += tensor.end - tensor.begin
    return types.most_common(1)[0][0] if types else "nothing"


def _listed(marks: set[str]) -> str:
    return "-".join(sorted(marks))


def _check_packed(said: str, config: Config, tensors: Tensors) -> None:
    """Raise Failure unless every packed weight has scales and zero points of matching shapes."""
    bits = _given(config, "bits", "w_bit")
    group = _given(config, "group_size", "q_group_size")
    if not 0 < bits <= 8:
        raise Failure(f"the configuration says {bits} bits, which {said} does not have")
    if 32 % bits:
        return  # No whole number of them is in 32.
    for name, weight in tensors.items():
        if not name.endswith(".qweight"):
            continue
        stem = name[: -len("qweight")]
        scales, zeros = tensors.get(f"{stem}scales"), tensors.get(f"{stem}qzeros")
        if scales is None or (zeros is None and config.get("zero_point") is not False):
            raise Failure(f"{name} has no {'scales' if scales is None else 'qzeros'}")
        if any(each and len(each.shape) != 2 for each in (weight, scales, zeros)):
            raise Failure(f"{name} is not a matrix, or its scales are none")
        packed = 1 if said == "AWQ" else 0
        wide = weight.shape[packed] * 32 // bits
        inputs, outputs = (wide, weight.shape[1]) if said == "GPTQ" else (weight.shape[0], wide)
        groups = -(-inputs // group) if group > 0 else 1
        fits = zeros is None or (zeros.shape[0], zeros.shape[1] * 32 // bits) == (groups, outputs)
        if scales.shape != (groups, outputs) or not fits:
            raise Failure(
                f"{name} {_shape(weight)}, its scales {_shape(scales)} and zero points"
                f" {_shape(zeros)} do not go together in {said} with {bits} bits and groups of"
                f" {group}"
            )


def _check_blocks(config: Config, tensors: Tensors) -> None:
    """Raise Failure unless weights that are scaled in blocks have one scale per block."""
    block = config.get("weight_block_size")
    if block is None:
        return
    if not (isinstance(block, list) and len(block) == 2 and all(_positive(n) for n in block)):
        raise Failure(f"the configuration has weight_block_size {block!r}")
    for name, weight in tensors.items():
        if not tensor_marks.is_fp8(name, weight) or len(weight.shape) < 2:
            continue
        scales = scales_of(name, tensors)
        # Embeddings and what else is no matrix of a layer may be in FP8 as they are.
        if scales is None and not name.endswith("weight"):
            continue
        wanted = tuple(-(-n // of) for n, of in zip(weight.shape[-2:], block))
        if scales is None or scales.shape[-2:] != wanted:
            there = f"scales of {_shape(scales)}" if scales else "no scales"
            raise Failure(f"{name} {_shape(weight)} has {there}, and needs {list(wanted)}")


def _given(config: Config, *names: str) -> int:
    value = number(config, *names)
    if value is None:
        raise Failure(f"the configuration has no {names[0]}")
    return value


def _positive(value: object) -> bool:
    return type(value) is int and value > 0


def _shape(tensor: SafetensorsTensor | None) -> str:
    return str(list(tensor.shape)) if tensor else "none"
