"""What a configuration of compressed-tensors says, which LLM Compressor and Kimi's makers write."""

from __future__ import annotations

from collections.abc import Mapping

from . import quantization_names
from .scale_groups import Config, common, in_blocks_of, in_groups_of, number

# Where no group of layers says more.
_FORMATS = {
    "float-quantized": "FP8",
    "naive-quantized": "FP8",
    "int-quantized": "W8A8",
    "pack-quantized": "W4A16",
    "marlin-24": "W4A16-MARLIN-24",
    "nvfp4-pack-quantized": "NVFP4",
    "mxfp4-pack-quantized": "MXFP4-PACK",
    "mxfp8-quantized": "MXFP8",
}


def read(config: Config) -> tuple[str, int | None]:
    """Return the name of the quantization, and how many weights share a scale."""
    form, groups = str(config.get("format") or ""), config.get("config_groups")
    kinds = [
        (_kind(str(layers.get("format") or form), layers), _scale_group(layers["weights"]))
        for layers in (groups.values() if isinstance(groups, Mapping) else ())
        if isinstance(layers, Mapping) and isinstance(layers.get("weights"), Mapping)
    ]
    if not kinds:
        name = _FORMATS.get(form, form.upper() or "COMPRESSED-TENSORS")
        return "" if name == "DENSE" else name, None
    name = quantization_names.joined(kind for kind, _ in kinds)
    if _experts_alone(config.get("ignore")):
        name = {"W4A16": "INT4", "MXFP4-PACK": "MXFP4"}.get(name, name)
    return name, None if name.startswith("MXFP4") else common(group for _, group in kinds)


def _kind(form: str, layers: Config) -> str:
    """Return the name for one group of layers, in one of the library's formats."""
    weights, acts = layers["weights"], layers.get("input_activations")
    bits = number(weights, "num_bits") or 4
    if form == "marlin-24":
        return f"W{bits}A16-MARLIN-24"
    if weights.get("type") == "float" or "fp" in form or form == "float-quantized":
        in_32 = number(weights, "group_size") == 32 or form.startswith("mxfp")
        if bits == 4 and not in_32:
            return "NVFP4" if acts or "input_activations" not in layers else "NVFP4-W4A16"
        return {(4, True): "MXFP4-PACK", (8, True): "MXFP8"}.get((bits, in_32), f"FP{bits}")
    if form == "int-quantized" or (form == "naive-quantized" and bits == 8):
        return f"W{bits}A8"
    if isinstance(acts, Mapping):
        return f"W{bits}AFP8-PACK" if acts.get("type") == "float" else f"W{bits}A8-PACK"
    ordered = weights.get("actorder") in ("group", "dynamic", True)
    return f"W{bits}A16-ACTORDER" if ordered else f"W{bits}A16"


def _scale_group(weights: Config) -> int | None:
    if weights.get("block_structure"):
        return in_blocks_of(weights["block_structure"])
    if weights.get("strategy") in ("channel", "tensor"):
        return 1
    return in_groups_of(number(weights, "group_size"))


def _experts_alone(ignored: object) -> bool:
    """Whether a pattern leaves attention out, so that experts are what remains."""
    patterns = [str(each) for each in ignored] if isinstance(ignored, list) else []
    return any(each.startswith("re:") and "self_attn" in each for each in patterns)
