"""What the JSON documents of a checkpoint say of its quantization.

The machine compares it with the tensors (quantization.py), and planning reads it before a byte is
fetched: this is the only module here that planning imports, with the names. So it is text and
arithmetic alone, and whatever a document holds, it gives an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import compressed_tensors
from . import quantization_names as names
from .scale_groups import Config, common, in_blocks_of, in_groups_of, number


@dataclass(frozen=True)
class Declared:
    """One configuration.

    + name: of the quantization (quantization_names.py); "" where nothing is said to be quantized
    + group: weights in a row that share a scale, none of which an engine may cut; 1 where a whole
      row has one; None where it is not said, or engines pad it
    + where: the document that says so
    + config: its part about quantization
    """

    name: str = ""
    group: int | None = None
    where: str = ""
    config: Config | None = None


def declared(documents: Mapping[str, Any]) -> Declared:
    """Return what the documents say, by file name, of the one that engines read first."""
    where, config = _config(documents)
    if not where:
        return Declared()
    method = str(config.get("quant_method") or "").lower().replace("_tensors", "-tensors")
    outer = documents.get("config.json")
    name, group = _read(method, config, outer if isinstance(outer, Mapping) else {})
    return Declared(name, group, where, config)


def _config(documents: Mapping[str, Any]) -> tuple[str, Config]:
    of_modelopt = _part(documents.get("hf_quant_config.json"))
    outer = documents.get("config.json")
    for config in (outer, outer.get("text_config") if isinstance(outer, Mapping) else None):
        for key in ("quantization_config", "compression_config"):
            found = _part(config.get(key)) if isinstance(config, Mapping) else None
            if found is not None:
                # Older exports have the layers of each kind beside config.json alone.
                layers = (of_modelopt or {}).get("quantized_layers")
                return "config.json", {"quantized_layers": layers, **found}
    for name, method in (
        ("quantize_config.json", "gptq"),
        ("quant_config.json", "awq"),
        ("quant_model_description.json", "modelslim"),
    ):
        other = documents.get(name)
        if isinstance(other, Mapping):
            return name, {"quant_method": method, **other}
    if of_modelopt is not None and of_modelopt.get("quant_algo"):
        return "hf_quant_config.json", {"quant_method": "modelopt", **of_modelopt}
    return "", {}


def _part(config: object) -> dict[str, Any] | None:
    """Return a configuration with what ModelOpt nests in it one level up; None if it is none."""
    if not isinstance(config, Mapping) or not config:
        return None
    inner = config.get("quantization")
    found = {**config, **inner} if isinstance(inner, Mapping) else {**config}
    if "quant_algo" in found and not found.get("quant_method"):
        found["quant_method"] = "modelopt"
    return found


def _read(method: str, config: Config, outer: Config) -> tuple[str, int | None]:
    """Return the name, and the weights that share a scale."""
    if method.startswith("modelopt"):
        return _modelopt(config)
    if method in ("fp8", "deepseek_v4_fp8"):
        experts = str(outer.get("expert_dtype") or "fp4").lower()
        is_v4 = str(outer.get("model_type")).startswith("deepseek_v4")
        in_4_bits = (is_v4 and experts == "fp4") or config.get("store_dtype") == "mxfp4"
        return "FP8-MXFP4" if in_4_bits else "FP8", in_blocks_of(config.get("weight_block_size"))
    if method in _MAKERS:
        return _MAKERS[method](config)
    return _METHODS.get(method, (method.upper().replace("_", "-"), None))


def _awq(config: Config) -> tuple[str, int | None]:
    version = str(config.get("version") or "").lower()
    bits = number(config, "w_bit", "bits")
    name = "AWQ" if bits in (None, 4) else f"AWQ-INT{bits}"
    if version == "marlin":
        name = "MARLIN"
    elif version.startswith("gemv"):
        name = "AWQ-GEMV"
    return name, in_groups_of(number(config, "q_group_size", "group_size"))


def _gptq(config: Config) -> tuple[str, int | None]:
    size, bits, dynamic = number(config, "group_size"), number(config, "bits"), _exceptions(config)
    ordered = [(config.get("desc_act"), size)]
    for each in dynamic:
        ordered.append((each.get("desc_act", config.get("desc_act")), each.get("group_size", size)))
    name = "GPTQ"
    if config.get("checkpoint_format") == "marlin" or config.get("is_marlin_format") is True:
        name = "MARLIN"
    elif bits not in (None, 4, 8):
        name = f"GPTQ-INT{bits}"
    elif config.get("sym") is False:
        name = "GPTQ-ASYM"
    # With one group a row, its order changes nothing.
    elif any(order is True and of != -1 for order, of in ordered):
        name = "GPTQ-DESC-ACT"
    sizes = [size, *(number(each, "group_size") for each in dynamic)]
    return name, common(in_groups_of(each) for each in sizes)


def _exceptions(config: Config) -> list[Config]:
    """Return what is other for some layers; those that are left out have no quantization at all."""
    dynamic = config.get("dynamic")
    pairs = dynamic.items() if isinstance(dynamic, Mapping) else ()
    return [each for key, each in pairs if isinstance(each, Mapping) and not key.startswith("-")]


def _auto_round(config: Config) -> tuple[str, int | None]:
    kind, bits = str(config.get("data_type") or "int").lower(), number(config, "bits") or 4
    if kind.startswith("mx_fp"):
        return ("MXFP8" if bits == 8 else "MXFP4") + "-AUTOROUND", None
    if kind.startswith("nv_fp"):
        return "NVFP4-AUTOROUND", 16
    if kind.startswith("fp"):
        return "FP8-AUTOROUND", in_blocks_of(config.get("group_size"))
    is_awq = "awq" in str(config.get("packing_format") or "")
    asym = "-ASYM" if config.get("sym") is False and not is_awq else ""
    exceptions = config.get("extra_config")
    layers = exceptions.values() if isinstance(exceptions, Mapping) else ()
    sizes = [number(each, "group_size") for each in (config, *layers) if isinstance(each, Mapping)]
    return f"W{bits}A16{asym}-AUTOROUND", common(in_groups_of(each) for each in sizes)


def _modelopt(config: Config) -> tuple[str, int | None]:
    algorithm = str(config.get("quant_algo") or "").upper()
    layers = config.get("quantized_layers")
    if algorithm != "MIXED_PRECISION" or not isinstance(layers, Mapping):
        name, size = _algorithm(algorithm)
        in_blocks = size if size != 128 else number(config, "group_size") or size
        return name or "MODELOPT", in_groups_of(in_blocks)
    kinds = {
        str(each.get("quant_algo") or "").upper()
        for each in layers.values()
        if isinstance(each, Mapping)
    }
    if "W4A8_AWQ" in kinds:
        # What SGLang takes such a mixture for.
        return "W4AFP8", 128
    found = [_algorithm(each) for each in kinds if each]
    return names.joined(name for name, _ in found), common(size for _, size in found)


def _algorithm(name: str) -> tuple[str, int | None]:
    return _ALGORITHMS.get(name, (name.replace("_", "-"), None))


def _quark(config: Config) -> tuple[str, int | None]:
    of_all = config.get("global_quant_config")
    weights = of_all.get("weight") if isinstance(of_all, Mapping) else None
    if not isinstance(of_all, Mapping) or not isinstance(weights, Mapping):
        return "QUARK", None
    kind = str(weights.get("dtype") or "").lower()
    four = "W4A8" if of_all.get("input_tensors") else "W4A16"
    known = {"fp4": "MXFP4", "int8": "W8A8", "int4": four}
    name = "FP8" if kind.startswith("fp8") else known.get(kind, kind.upper())
    size = None if name == "MXFP4" else in_groups_of(number(weights, "group_size"))
    return f"{name}-QUARK", size


def _modelslim(config: Config) -> tuple[str, int | None]:
    kind = str(config.get("model_quant_type") or "W8A8").upper().replace("_DYNAMIC", "")
    return "" if kind == "FLOAT" else f"{kind}-MODELSLIM", None


_MAKERS: dict[str, Callable[[Config], tuple[str, int | None]]] = {
    **dict.fromkeys(("awq", "awq_marlin", "auto_awq"), _awq),
    **dict.fromkeys(("gptq", "gptq_marlin", "auto_gptq", "gptq_v2"), _gptq),
    "auto-round": _auto_round,
    "compressed-tensors": compressed_tensors.read,
    "quark": _quark,
    "modelslim": _modelslim,
}
_METHODS: dict[str, tuple[str, int | None]] = {
    "fbgemm_fp8": ("FP8-FBGEMM", 1),
    "w8a8_fp8": ("FP8-CHANNEL", 1),
    "w8a8_int8": ("W8A8-CHANNEL", 1),
    "blockwise_int8": ("W8A8-BLOCK", 128),
    "mxfp4": ("MXFP4", None),
    "gpt_oss_mxfp4": ("MXFP4", None),
    "mxfp8": ("MXFP8", 32),
    "w4afp8": ("W4AFP8", 128),
    "bitsandbytes": ("BITSANDBYTES", None),
    "intel/auto-round": ("INTEL-AUTO-ROUND", None),
}
# Of NVIDIA's ModelOpt; 128 where it says another size.
_ALGORITHMS: dict[str, tuple[str, int | None]] = {
    "FP8": ("FP8", 1),
    "FP8_PB_WO": ("FP8-PB-WO", 128),
    "FP8_BLOCK_SCALES": ("FP8-PB-WO", 128),
    "FP8_PER_CHANNEL_PER_TOKEN": ("FP8-PER-CHANNEL-PER-TOKEN", 1),
    "NVFP4": ("NVFP4", 16),
    "NVFP4_AWQ": ("NVFP4-AWQ", 16),
    "W4A16_NVFP4": ("NVFP4-W4A16", 16),
    "W4A16_AWQ": ("W4A16-AWQ", 128),
    "W4A8_AWQ": ("W4AFP8-AWQ", 128),
    "MXFP8": ("MXFP8", 32),
    "MIXED_PRECISION": ("MIXED-PRECISION", None),
}
