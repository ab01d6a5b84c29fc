"""Incompatibilities: one row each, with its source and the date it was read.

Here are the rows that engines share; those of one engine are in its record, which also names the
groups that it takes. `compatibility.py` applies the rows; nothing here decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deploys.planning.hardware.gpus import Generation


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row: conditions and verdict. An empty field matches everything.

    + quantizations: name prefixes, upper case
    + beyond: generations that the rule does not apply to
    + without_cards: matches machines without accelerators
    + sparse: matches models with sparse attention (DeepSeek sparse attention)
    + isas: instruction sets of the CPU
    + what: a clause that follows "llama.cpp cannot serve this model on a V100: "
    """

    formats: tuple[str, ...] = ()
    quantizations: tuple[str, ...] = ()
    kv_caches: tuple[str, ...] = ()
    generations: tuple[Generation, ...] = ()
    beyond: tuple[Generation, ...] = ()
    computes: tuple[str, ...] = ()
    isas: tuple[str, ...] = ()
    without_cards: bool = False
    sparse: bool = False
    verdict: Literal["refuse", "warn"]
    what: str
    hint: str
    source: str
    date: str


# Of every engine.
EVERY: tuple[Rule, ...] = (
    Rule(
        quantizations=("AWQ",),
        generations=("volta",),
        verdict="refuse",
        what="the kernels for AWQ need compute capability 7.5",
        hint="Choose a GGUF variant such as Q4_K_M and serve it with llama.cpp",
        source="vLLM, supported hardware of quantization",
        date="2026-11-25",
    ),
    Rule(
        quantizations=("FP8", "NVFP4", "MXFP4"),
        generations=("ascend",),
        verdict="refuse",
        what="the 910B has no arithmetic for it",
        hint="Choose the BF16 weights, or W8A8 weights made with Huawei's ModelSlim",
        source="SGLang documentation, quantization on Ascend: A2",
        date="2026-11-25",
    ),
    Rule(
        quantizations=("AWQ", "GPTQ"),
        generations=("ascend", "cdna3"),
        verdict="warn",
        what="4 bit kernels of this kind are not confirmed here: vLLM's table names NVIDIA alone",
        hint="Watch the first start, or choose the original weights",
        source="vLLM, supported hardware of quantization",
        date="2026-11-25",
    ),
)

# Of engines built on PyTorch.
TORCH: tuple[Rule, ...] = (
    Rule(
        quantizations=("BF16",),
        generations=("turing",),
        verdict="warn",
        what="Turing has no bfloat16, so vLLM computes in float16",
        hint="Look at the first answers: a few networks overflow in it",
        source="vLLM 0.32, platforms/cuda.py, supported_dtypes",
        date="2026-11-30",
    ),
    Rule(
        quantizations=("BF16",),
        generations=("volta",),
        verdict="refuse",
        what="Volta has no bfloat16",
        hint="Choose a GGUF variant and serve it with llama.cpp, which computes in float16",
        source="CUDA programming guide, arithmetic by compute capability",
        date="2026-11-22",
    ),
    Rule(
        isas=("x86-64-v1", "x86-64-v2"),
        verdict="warn",
        what="torch is built for AVX2, which this CPU lacks",
        hint="Watch the first start, or serve a GGUF with llama.cpp",
        source="PyTorch installation page",
        date="2026-11-22",
    ),
    Rule(
        kv_caches=("fp8",),
        generations=("turing", "ampere", "ascend"),
        verdict="warn",
        what="a key-value cache in FP8 is not confirmed on cards without FP8 arithmetic",
        hint='Watch the first start, or set kv_cache="auto"',
        source="vLLM documentation, quantized KV cache",
        date="2026-11-25",
    ),
)

# Of SGLang, and what is built on it.
SGLANG: tuple[Rule, ...] = (
    Rule(
        quantizations=("NVFP4",),
        beyond=("blackwell",),
        verdict="refuse",
        what="arithmetic in NVFP4 needs Blackwell",
        hint="Choose the FP8 or the AWQ variant of the model",
        source="SGLang documentation, quantization",
        date="2026-11-25",
    ),
    Rule(
        sparse=True,
        computes=("8.0", "8.6", "8.9"),
        verdict="warn",
        what="sparse attention on compute capability 8.x is documented for one L20 alone",
        hint="Set the attention backend to triton, and watch the first start",
        source="KTransformers tutorial of DeepSeek-V3.2",
        date="2026-11-22",
    ),
)

# Of engines built on ggml.
GGML: tuple[Rule, ...] = (
    Rule(
        formats=("gguf",),
        quantizations=("Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "IQ4_NL_4_4", "Q4_2", "Q4_3"),
        verdict="refuse",
        what="ggml has dropped such tensors, and loads no file that has them",
        hint="Choose the Q4_0 or the IQ4_NL variant, which is rearranged for the CPU while it is"
        " loaded",
        source="llama.cpp 0c1e57098, ggml.h, enum ggml_type",
        date="2026-11-30",
    ),
    Rule(
        quantizations=("BF16",),
        generations=("volta", "turing"),
        verdict="warn",
        what="this generation has no bfloat16, so every weight is converted before it is used",
        hint="An F16 or Q8_0 variant is faster",
        source="ggml's CUDA backend",
        date="2026-11-22",
    ),
)

# What refuses the weights of the other format.
NO_GGUF = Rule(
    verdict="refuse",
    what="it reads safetensors, and this is a GGUF",
    hint="Choose a safetensors variant of the model, or serve this one with llama.cpp",
    source="vLLM moved GGUF to a plugin outside its tree",
    date="2026-11-22",
)

NO_SAFETENSORS = Rule(
    verdict="refuse",
    what="it reads GGUF, and these are safetensors",
    hint="Choose a GGUF variant of the model from deploys/planning/models/entries",
    source="llama.cpp README",
    date="2026-11-22",
)
