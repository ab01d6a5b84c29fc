"""The names of quantizations, which entries of the catalogue, plans and checks have in common.

First how the weights are kept, then what engines tell apart beside that: who made them, and in
which layout. A name that goes on after one of these (FP8-dynamic, GPTQ-Int4) means the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

PLAIN = ("BF16", "F16", "F32")
# What each one is: a clause that goes into brackets behind the name.
NAMES = {
    **dict.fromkeys(PLAIN, "not quantized"),
    "FP8": "8 bit floats, with a scale for each block, row or matrix",
    "FP8-CHANNEL": "8 bit floats that config.json calls w8a8_fp8",
    "FP8-PB-WO": "8 bit floats of NVIDIA's ModelOpt, in blocks",
    "FP8-PER-CHANNEL-PER-TOKEN": "8 bit floats of NVIDIA's ModelOpt, with a scale for each row",
    "FP8-FBGEMM": "8 bit floats of FBGEMM",
    "FP8-QUARK": "8 bit floats of AMD's Quark",
    "FP8-AUTOROUND": "8 bit floats of AutoRound",
    "FP8-MXFP4": "8 bit floats, and experts in MXFP4, as DeepSeek-V4 has them",
    "MXFP8": "8 bit floats in groups of 32 with powers of two as scales",
    "MXFP8-AUTOROUND": "MXFP8 of AutoRound",
    "NVFP4": "4 bit floats in groups of 16",
    "NVFP4-FP8": "NVFP4 and FP8, each for some of its layers",
    "NVFP4-W4A16": "NVFP4 for weights alone",
    "NVFP4-AWQ": "NVFP4 of NVIDIA's ModelOpt with AWQ's scales",
    "NVFP4-AUTOROUND": "NVFP4 of AutoRound",
    "MXFP4": "experts in 4 bit floats in groups of 32, and the rest as it was",
    "MXFP4-PACK": "4 bit floats in groups of 32, in all layers",
    "MXFP4-QUARK": "MXFP4 of AMD's Quark",
    "MXFP4-AUTOROUND": "MXFP4 of AutoRound",
    "AWQ": "4 bits, packed along outputs",
    "AWQ-GEMV": "AWQ in the layout gemv",
    "AWQ-INT8": "AWQ with 8 bits",
    "GPTQ": "4 or 8 bits, packed along inputs",
    "GPTQ-ASYM": "GPTQ with zero points that differ (sym is false)",
    "GPTQ-DESC-ACT": "GPTQ with columns in the order of activations (desc_act)",
    "GPTQ-INT2": "GPTQ with 2 bits",
    "GPTQ-INT3": "GPTQ with 3 bits",
    "MARLIN": "4 bits in the layout of one kernel, Marlin",
    "INT4": "experts in 4 bits, and the rest as it was, as Kimi has them",
    "W4A16": "4 bits for weights alone, of compressed-tensors",
    "W4A16-ACTORDER": "W4A16 with columns in the order of activations (actorder)",
    "W4A16-ASYM-AUTOROUND": "AutoRound's in GPTQ's layout with zero points that differ",
    "W4A16-AUTOROUND": "4 bits for weights alone, of AutoRound",
    "W4A16-AWQ": "4 bits of NVIDIA's ModelOpt with AWQ's scales",
    "W4A16-FP8": "4 bits and FP8, each for some of its layers",
    "W4A16-MARLIN-24": "4 bits of sparse weights, two of four",
    "W4A16-QUARK": "4 bits for weights alone, of AMD's Quark",
    "W4A16-W8A16": "4 bits and 8 bits for weights alone, each for some of its layers",
    "W8A16": "8 bits for weights alone, of compressed-tensors",
    "W8A16-ACTORDER": "W8A16 with columns in the order of activations (actorder)",
    "W8A16-AUTOROUND": "8 bits for weights alone, of AutoRound",
    "W8A8": "8 bit integers, activations too, of compressed-tensors",
    "W8A8-BLOCK": "8 bit integers in blocks (blockwise_int8)",
    "W8A8-CHANNEL": "8 bit integers that config.json calls w8a8_int8",
    "W8A8-MODELSLIM": "8 bit integers of Huawei's ModelSlim",
    "W8A8-QUARK": "8 bit integers of AMD's Quark",
    "W4A8": "4 bit weights kept in 8, with activations in 8 bit integers",
    "W4A8-MODELSLIM": "4 bit weights with activations in 8 bits, of Huawei's ModelSlim",
    "W4A8-PACK": "4 bit weights, packed, with activations in 8 bit integers",
    "W4AFP8": "experts in 4 bits with activations in FP8, and the rest in FP8",
    "W4AFP8-AWQ": "W4AFP8 of NVIDIA's ModelOpt with AWQ's scales",
    "W4AFP8-PACK": "4 bit weights with activations in FP8, of compressed-tensors",
    "BITSANDBYTES": "4 or 8 bits of bitsandbytes",
    "TORCHAO": "tensors of torchao",
    "INTEL-AUTO-ROUND": "AutoRound's, as its first versions wrote them",
    "MIXED-PRECISION": "several kinds, and no list of which layers have which",
}
_SPELLINGS = {
    "FP16": "F16",
    "FP32": "F32",
    "INT8": "W8A8",
    "AUTOROUND": "W4A16-AUTOROUND",
    "AUTO-ROUND": "W4A16-AUTOROUND",
    "INT4-AUTOROUND": "W4A16-AUTOROUND",
    "INT4-AUTO-ROUND": "W4A16-AUTOROUND",
    "W4A16-AUTO-ROUND": "W4A16-AUTOROUND",
    "INT8-AUTOROUND": "W8A16-AUTOROUND",
    "INT8-AUTO-ROUND": "W8A16-AUTOROUND",
    "NVFP4A16": "NVFP4-W4A16",
    "W4A8-FP8": "W4AFP8-PACK",
    "BNB": "BITSANDBYTES",
    "NF4": "BITSANDBYTES",
}
# Where the configuration does not say what it is, and the tensors do.
BY_TENSORS = ("QUARK", "MIXED-PRECISION")
# What a claim means beside itself: of experts alone or of all layers, which sizing tells apart and
# the tensors of one layer do not; and mixtures by what they are called in general.
_ALSO = {
    "INT4": ("W4A16",),
    "W4A16": ("INT4",),
    "MXFP4-PACK": ("MXFP4",),
    "MIXED-PRECISION": ("NVFP4-FP8", "W4A16-FP8", "W4A16-W8A16"),
}


def canonical(name: str) -> str:
    """Return the name in the spelling of NAMES; one that is not there stays, in capitals."""
    text = re.sub(r"[\s_/]+", "-", name.strip().upper())
    begin = text
    while begin:
        if begin in NAMES or begin in _SPELLINGS:
            return _SPELLINGS.get(begin, begin)
        begin = begin.rpartition("-")[0]
    return text


def same(claimed: str, found: str) -> bool:
    """Return whether a claim means what was found: that, or less of it (GPTQ for GPTQ-DESC-ACT)."""
    claimed, found = canonical(claimed), canonical(found)
    claims = (claimed, *_ALSO.get(claimed, ()))
    return any(found == each or found.startswith(f"{each}-") for each in claims)


def joined(kinds: Iterable[str]) -> str:
    """Return one name for what several kinds of layers have, the narrowest first."""
    found = sorted(set(kinds), key=lambda kind: (re.sub(r"[A-Z-]*(\d+).*", r"\1", kind), kind))
    return "-".join(found) or "MIXED-PRECISION"
