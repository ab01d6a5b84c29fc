"""The quantization of a safetensors folder, from its configuration and from its tensors.

Both must agree, or an engine loads garbage or nothing. The names are those of the catalogue: AWQ,
GPTQ, FP8, W4A16 and so on; BF16, F16 or F32 where nothing is quantized. Layouts are as vLLM's
loaders expect them: an AWQ weight is packed along its outputs ([in, out/8] of int32), a GPTQ weight
along its inputs ([in/8, out]); DeepSeek's FP8 has a scale for each block of 128 by 128 weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..lib.failure import Failure
from .safetensors import SafetensorsTensor

Tensors = Mapping[str, SafetensorsTensor]
Config = Mapping[str, Any]

# What is the same under two names.
SAME = {"FP16": "F16", "FP32": "F32", "INT4": "W4A16", "INT8": "W8A8"}
PLAIN = ("BF16", "F16", "F32")
_METHODS = {
    "awq": "AWQ",
    "gptq": "GPTQ",
    "fp8": "FP8",
    "fbgemm_fp8": "FP8",
    "mxfp4": "MXFP4",
    "w4afp8": "W4AFP8",
    "bitsandbytes": "BITSANDBYTES",
}
# Formats of compressed-tensors, and algorithms of NVIDIA's ModelOpt.
_FORMATS = {
    "float-quantized": "FP8",
    "int-quantized": "W8A8",
    "nvfp4-pack-quantized": "NVFP4",
    "mxfp4-pack-quantized": "MXFP4",
}
_ALGORITHMS = {"FP8": "FP8", "NVFP4": "NVFP4", "W4A8_AWQ": "W4AFP8"}


def quantization_of(configs: Mapping[str, Config], tensors: Tensors) -> str:
    """Return the name of the quantization; raise Failure if configuration and tensors disagree.

    `configs` holds the JSON files of the folder that describe it, by file name.
    """
    where, config = _config(configs)
    said = _from_config(config) if config else ""
    shown = _from_tensors(tensors)
    if not said:
        if shown not in PLAIN:
            raise Failure(f"the tensors are {shown}, and no configuration says that they are")
        return shown
    if said in _MARKED and shown != said:
        raise Failure(f"{where} says {said}, and the tensors are {shown}")
    # GPTQModel's "dynamic" has bits of their own for some layers.
    if said in ("AWQ", "GPTQ") and not config.get("dynamic"):
        _check_packed(said, config, tensors)
    if said == "FP8":
        _check_blocks(config, tensors)
    return said


def same(claimed: str, found: str) -> bool:
    """Return whether a catalogue name, which may go on after a dash, means what was found."""
    first = claimed.upper().replace("_", "-").split("-")[0]
    return SAME.get(first, first) == SAME.get(found, found)


# Those whose tensors bear a mark that `_from_tensors` knows.
_MARKED = {"AWQ", "GPTQ", "FP8", "NVFP4", "MXFP4", "W4A16", "W8A8"}


def _config(configs: Mapping[str, Config]) -> tuple[str, Config]:
    """Return the name of the file that engines read first, and its part about quantization.

    Both are empty if there is none.
    """
    for name, outer in (("config.json", ""), ("config.json", "text_config")):
        config = configs.get(name, {})
        config = config.get(outer, {}) if outer else config
        for key in ("quantization_config", "compression_config"):
            if isinstance(config, Mapping) and isinstance(config.get(key), Mapping):
                return name, config[key]
    for name, method in (("quantize_config.json", "gptq"), ("quant_config.json", "awq")):
        if name in configs:
            return name, {"quant_method": method, **configs[name]}
    inner = configs.get("hf_quant_config.json", {}).get("quantization")
    if isinstance(inner, Mapping) and inner.get("quant_algo"):
        return "hf_quant_config.json", {"quant_method": "modelopt", **inner}
    return "", {}


def _from_config(config: Config) -> str:
    method = str(config.get("quant_method") or "").lower()
    if method == "compressed-tensors":
        form = str(config.get("format") or "")
        if form == "pack-quantized":
            return f"W{_bits_of_groups(config)}A16"
        return _FORMATS.get(form, form.upper() or "COMPRESSED-TENSORS")
    if method.startswith("modelopt"):
        algorithm = str(config.get("quant_algo") or method)
        return _ALGORITHMS.get(algorithm.upper(), algorithm.upper())
    return _METHODS.get(method, method.upper())


def _bits_of_groups(config: Config) -> int:
    groups = config.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping) and isinstance(weights.get("num_bits"), int):
            return int(weights["num_bits"])
    return 4


def _from_tensors(tensors: Tensors) -> str:
    """Return what names, types and shapes of the tensors show, by marks that no other kind has."""
    for name, tensor in tensors.items():
        stem, _, last = name.rpartition(".")
        if last == "qweight":
            return _packing(stem, tensor, tensors)
        if last == "weight_packed":
            return "NVFP4" if f"{stem}.weight_global_scale" in tensors else "W4A16"
        if last == "weight" and f"{stem}.weight_scale_2" in tensors:
            return "NVFP4"
        if last.endswith("_blocks") and f"{name[: -len('blocks')]}scales" in tensors:
            return "MXFP4"
    types: Counter[str] = Counter()
    for tensor in tensors.values():
        types[tensor.dtype] += tensor.end - tensor.begin
    if types["F8_E4M3"]:
        return "FP8"
    if any(tensor.dtype == "I8" and f"{name}_scale" in tensors for name, tensor in tensors.items()):
        return "W8A8"
    return types.most_common(1)[0][0] if types else "nothing"


def _packing(stem: str, weight: SafetensorsTensor, tensors: Tensors) -> str:
    scales = tensors.get(f"{stem}.scales")
    if scales is None or len(weight.shape) != 2 or len(scales.shape) != 2:
        raise Failure(f"{stem}.qweight has no scales of its own")
    if f"{stem}.g_idx" in tensors or weight.shape[1] == scales.shape[1]:
        return "GPTQ"
    return "AWQ"


def _check_packed(said: str, config: Config, tensors: Tensors) -> None:
    """Raise Failure unless every packed weight has scales and zero points of matching shapes."""
    bits = _number(config, "bits", "w_bit")
    group = _number(config, "group_size", "q_group_size")
    if not 0 < bits <= 8:
        raise Failure(f"the configuration says {bits} bits, which {said} does not have")
    for name, weight in tensors.items():
        if not name.endswith(".qweight"):
            continue
        stem = name[: -len("qweight")]
        scales, zeros = tensors.get(f"{stem}scales"), tensors.get(f"{stem}qzeros")
        if scales is None or zeros is None:
            missing = "scales" if scales is None else "qzeros"
            raise Failure(f"{name} has no {missing}")
        if not len(weight.shape) == len(scales.shape) == len(zeros.shape) == 2:
            raise Failure(f"{name} is not a matrix, or its scales are none")
        packed = 1 if said == "AWQ" else 0
        wide = weight.shape[packed] * 32 // bits
        inputs, outputs = (wide, weight.shape[1]) if said == "GPTQ" else (weight.shape[0], wide)
        groups = -(-inputs // group) if group > 0 else 1
        if (
            scales.shape != (groups, outputs)
            or zeros.shape[0] != groups
            or zeros.shape[1] * 32 // bits != outputs
        ):
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
        if weight.dtype != "F8_E4M3" or len(weight.shape) < 2 or not name.endswith("weight"):
            continue
        scales = tensors.get(f"{name}_scale_inv") or tensors.get(f"{name}_scale")
        wanted = tuple(-(-n // of) for n, of in zip(weight.shape[-2:], block))
        if scales is None or scales.shape[-2:] != wanted:
            there = f"scales of {_shape(scales)}" if scales else "no scales"
            raise Failure(f"{name} {_shape(weight)} has {there}, and needs {list(wanted)}")


def _number(config: Config, *names: str) -> int:
    for name in names:
        value = config.get(name)
        if type(value) is int:
            return value
    raise Failure(f"the configuration has no {names[0]}")


def _positive(value: object) -> bool:
    return type(value) is int and value > 0


def _shape(tensor: SafetensorsTensor) -> str:
    return str(list(tensor.shape))
