"""Tensors as the kinds of quantization have them, and the cases of tests/unit/data."""

from __future__ import annotations

from math import prod
from typing import Any

import yaml

from deploys.remote.formats.safetensors import SafetensorsTensor
from tests.unit import ROOT

Shapes = dict[str, tuple[str, tuple[int, ...]]]

CASES: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / "tests" / "unit" / "data" / "quantizations.yaml").read_text()
)
_DOCUMENTS = ("hf_quant_config.json", "quant_config.json", "quant_model_description.json")


def _gptq(groups: int) -> Shapes:
    return {
        "m.qweight": ("I32", (32, 256)),
        "m.qzeros": ("I32", (groups, 32)),
        "m.scales": ("F16", (groups, 256)),
        "m.g_idx": ("I32", (256,)),
    }


def _awq(groups: int) -> Shapes:
    return {
        "m.qweight": ("I32", (256, 32)),
        "m.qzeros": ("I32", (groups, 32)),
        "m.scales": ("F16", (groups, 256)),
    }


_FP8 = {"m.weight": ("F8_E4M3", (256, 256))}
_PACKED = {
    "m.weight_packed": ("I32", (256, 32)),
    "m.weight_scale": ("BF16", (256, 2)),
    "m.weight_shape": ("I64", (2,)),
}
_NVFP4 = {
    "m.weight": ("U8", (256, 128)),
    "m.weight_scale": ("F8_E4M3", (256, 16)),
    "m.weight_scale_2": ("F32", ()),
    "m.input_scale": ("F32", ()),
}
TENSORS: dict[str, Shapes] = {
    "plain": {"m.weight": ("BF16", (4, 4))},
    "gptq": _gptq(2),
    "gptq in groups of 64": _gptq(4),
    "gptq in one group": _gptq(1),
    "gptq without g_idx": {k: v for k, v in _gptq(2).items() if not k.endswith("g_idx")},
    "awq": _awq(2),
    "awq in groups of 32": _awq(8),
    "awq in groups of 64": _awq(4),
    "gemv": {
        "m.qweight": ("I32", (256, 32)),
        "m.qzeros": ("I32", (256, 1)),
        "m.scales": ("F16", (256, 8)),
    },
    "marlin": {"m.B": ("I32", (16, 512)), "m.s": ("F16", (2, 256))},
    "compressed-tensors": _PACKED,
    "fp8": {**_FP8, "m.weight_scale": ("F32", (1,)), "m.input_scale": ("F32", (1,))},
    "fp8 in blocks": {**_FP8, "m.weight_scale_inv": ("F32", (2, 2))},
    "fp8 in blocks of 64": {**_FP8, "m.weight_scale_inv": ("F32", (4, 4))},
    "fp8 in blocks, weight_scale": {**_FP8, "m.weight_scale": ("F32", (2, 2))},
    "fp8 with fused experts": {
        "x.experts.gate_up_proj": ("F8_E4M3", (2, 256, 256)),
        "x.experts.gate_up_proj_scale_inv": ("F32", (2, 2, 2)),
        "n.weight": ("BF16", (4,)),
    },
    "mxfp8": {**_FP8, "m.weight_scale": ("U8", (256, 8))},
    "mxfp8, weight_scale_inv": {**_FP8, "m.weight_scale_inv": ("U8", (256, 8))},
    "int8": {"m.weight": ("I8", (256, 256)), "m.weight_scale": ("F32", (256, 1))},
    "nvfp4": _NVFP4,
    "nvfp4 and fp8": {
        **_NVFP4,
        "q.weight": ("F8_E4M3", (256, 256)),
        "q.weight_scale": ("F32", ()),
    },
    "nvfp4 packed": {**_PACKED, "m.weight_global_scale": ("F32", (1,))},
    "mxfp4": {"m.weight": ("U8", (256, 128)), "m.weight_scale": ("U8", (256, 8))},
    "mxfp4 packed": {"m.weight_packed": ("U8", (256, 128)), "m.weight_scale": ("U8", (256, 8))},
    "gpt-oss": {"m_blocks": ("U8", (32, 8, 90, 16)), "m_scales": ("U8", (32, 8, 90))},
    "w4afp8": {
        "e.weight": ("I8", (256, 128)),
        "e.weight_scale_inv": ("BF16", (256, 2)),
        "q.weight": ("F8_E4M3", (256, 256)),
        "q.weight_scale_inv": ("F32", (2, 2)),
    },
    "deepseek-v4": {
        "a.weight": ("F8_E4M3", (256, 256)),
        "a.scale": ("F8_E8M0", (2, 2)),
        "e.weight": ("I8", (256, 128)),
        "e.scale": ("F8_E8M0", (256, 8)),
    },
    "bitsandbytes": {"m.weight": ("U8", (1000, 1)), "m.weight.absmax": ("U8", (10,))},
}


def tensors(kind: str) -> dict[str, SafetensorsTensor]:
    """The tensors of that kind; those that are compared by size have as many bytes as elements."""
    return {
        name: SafetensorsTensor(dtype, shape, 0, prod(shape))
        for name, (dtype, shape) in TENSORS[kind].items()
    }


def documents(case: dict[str, Any]) -> dict[str, Any]:
    """The JSON documents of a case, by file name."""
    config: dict[str, Any] = {"dtype": "bfloat16", **case.get("outer", {})}
    if case.get("config"):
        config["quantization_config"] = case["config"]
    return {"config.json": config, **{name: case[name] for name in _DOCUMENTS if name in case}}
