"""Incompatibilities: one row each, with its source and the date it was read.

`compatibility.py` applies the rows; nothing here decides.
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

    engines: tuple[str, ...] = ()
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


_PYTHON = ("vllm", "sglang", "ktransformers")
_GGML = ("llama.cpp", "ollama")

RULES: tuple[Rule, ...] = (
    Rule(
        engines=("vllm", "sglang"),
        formats=("gguf",),
        verdict="refuse",
        what="it reads safetensors, and this is a GGUF",
        hint="Choose a safetensors variant of the model, or serve this one with llama.cpp",
        source="vLLM moved GGUF to a plugin outside its tree",
        date="2026-11-22",
    ),
    Rule(
        engines=("ktransformers",),
        formats=("gguf",),
        verdict="refuse",
        what="it takes the experts alone from a GGUF, and the rest from the original weights, of"
        " which this version fetches one",
        hint="Choose the original weights in FP8, BF16 or INT4, or serve this GGUF with"
        " llama.cpp and its experts in host memory",
        source="kt-kernel README",
        date="2026-11-25",
    ),
    Rule(
        engines=("ktransformers",),
        formats=("safetensors",),
        quantizations=("AWQ", "GPTQ", "W4A", "W8A8", "INT8", "MXFP4", "FP16"),
        verdict="refuse",
        what="it computes with experts in FP8, BF16 or INT4, as their makers published them",
        hint="Choose the original weights, or a GGUF variant for llama.cpp",
        source="kt-kernel README, backends",
        date="2026-11-25",
    ),
    Rule(
        engines=("ktransformers",),
        formats=("safetensors",),
        isas=("x86-64-v3",),
        verdict="refuse",
        what="its kernels for such experts begin with AVX-512",
        hint="Serve a GGUF variant with llama.cpp, which builds for this CPU",
        source="kt-kernel README, CPU requirements by backend",
        date="2026-11-25",
    ),
    Rule(
        engines=("ktransformers",),
        quantizations=("FP8", "BF16"),
        isas=("x86-64-v4",),
        verdict="warn",
        what="its kernels for FP8 and BF16 want AVX512_BF16 as well, which Ice Lake lacks",
        hint="Look for avx512_bf16 in /proc/cpuinfo",
        source="kt-kernel README, CPU requirements by backend",
        date="2026-11-25",
    ),
    Rule(
        engines=_GGML,
        formats=("safetensors",),
        verdict="refuse",
        what="it reads GGUF, and these are safetensors",
        hint="Choose a GGUF variant of the model from deploys/planning/models/catalogue.py",
        source="llama.cpp README",
        date="2026-11-22",
    ),
    Rule(
        quantizations=("AWQ",),
        generations=("volta",),
        verdict="refuse",
        what="the kernels for AWQ begin with compute capability 7.5",
        hint="Choose a GGUF variant such as Q4_K_M and serve it with llama.cpp",
        source="vLLM, supported hardware of quantization",
        date="2026-11-25",
    ),
    Rule(
        engines=_PYTHON,
        quantizations=("BF16",),
        generations=("volta",),
        verdict="refuse",
        what="Volta has no bfloat16",
        hint="Choose a GGUF variant and serve it with llama.cpp, which computes in float16",
        source="CUDA programming guide, arithmetic by compute capability",
        date="2026-11-22",
    ),
    Rule(
        engines=_GGML,
        quantizations=("BF16",),
        generations=("volta",),
        verdict="warn",
        what="Volta has no bfloat16, so every weight is converted before it is used",
        hint="An F16 or Q8_0 variant is faster",
        source="ggml's CUDA backend",
        date="2026-11-22",
    ),
    Rule(
        engines=("sglang",),
        quantizations=("FP8", "W4AFP8"),
        generations=("volta", "ampere"),
        verdict="refuse",
        what="its FP8 kernels need compute capability 8.9",
        hint="Serve it with vLLM, which keeps the weights in FP8 and computes in 16 bit, or"
        " choose an AWQ variant",
        source="SGLang documentation of DeepSeek-V3",
        date="2026-11-22",
    ),
    Rule(
        engines=("vllm",),
        quantizations=("FP8",),
        generations=("ampere",),
        verdict="warn",
        what="FP8 saves memory here and no time: the card computes in 16 bit (Marlin)",
        hint="An AWQ variant is smaller still",
        source="vLLM documentation, FP8 W8A8",
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
    Rule(
        engines=("sglang", "ktransformers"),
        quantizations=("NVFP4",),
        beyond=("blackwell",),
        verdict="refuse",
        what="NVFP4 is arithmetic of Blackwell",
        hint="Choose the FP8 or the AWQ variant of the model",
        source="SGLang documentation, quantization",
        date="2026-11-25",
    ),
    Rule(
        engines=("vllm",),
        quantizations=("NVFP4",),
        generations=("volta", "cdna3", "dcu"),
        verdict="refuse",
        what="NVFP4 needs Blackwell, or Marlin, which this card has not",
        hint="Choose the AWQ variant of the model",
        source="vLLM, supported hardware of quantization",
        date="2026-11-25",
    ),
    Rule(
        engines=("vllm",),
        quantizations=("NVFP4",),
        generations=("ampere", "ada", "hopper"),
        verdict="warn",
        what="NVFP4 saves memory here and no time: the card computes in 16 bit (Marlin)",
        hint="Blackwell computes in it",
        source="vLLM's own warning, marlin_utils_fp4",
        date="2026-11-25",
    ),
    Rule(
        engines=("vllm",),
        sparse=True,
        computes=("8.0", "8.6", "8.9"),
        verdict="refuse",
        what="none of its kernels for sparse attention takes compute capability 8.x",
        hint="Use Hopper or Blackwell cards, or DeepSeek-V3.1, whose attention is dense",
        source="supports_compute_capability of every MLA backend of vLLM 0.33",
        date="2026-11-22",
    ),
    Rule(
        engines=("vllm",),
        without_cards=True,
        sparse=True,
        verdict="refuse",
        what="it has no sparse attention on a CPU",
        hint="Serve a model with dense attention, or this one on Hopper or Blackwell cards",
        source="vLLM 0.32, platforms/cpu.py, get_attn_backend_cls",
        date="2026-11-25",
    ),
    Rule(
        engines=("vllm",),
        quantizations=("FP8", "AWQ", "GPTQ", "INT", "W4A", "W8A8", "NVFP4", "MXFP4"),
        without_cards=True,
        verdict="warn",
        what="quantized weights on a CPU are not confirmed here",
        hint="Watch the first start, or choose the BF16 weights",
        source="vLLM, supported hardware of quantization",
        date="2026-11-25",
    ),
    Rule(
        engines=("sglang", "ktransformers"),
        sparse=True,
        computes=("8.0", "8.6", "8.9"),
        verdict="warn",
        what="sparse attention on compute capability 8.x is documented for one L20 alone",
        hint="Set the attention backend to triton, and watch the first start",
        source="KTransformers tutorial of DeepSeek-V3.2",
        date="2026-11-22",
    ),
    Rule(
        engines=("ktransformers",),
        generations=("blackwell",),
        verdict="refuse",
        what="its published kernels end with compute capability 9.0",
        hint="Serve the model with llama.cpp and its experts in host memory",
        source="kt-kernel wheel metadata: SM 80, 86, 89, 90",
        date="2026-11-22",
    ),
    Rule(
        engines=("ktransformers",),
        isas=("x86-64-v1", "x86-64-v2", "aarch64"),
        verdict="refuse",
        what="its CPU kernels begin with AVX2",
        hint="Serve the model with llama.cpp, which builds for this CPU",
        source="kt-kernel README",
        date="2026-11-22",
    ),
    Rule(
        engines=_PYTHON,
        isas=("x86-64-v1", "x86-64-v2"),
        verdict="warn",
        what="torch is built for AVX2, which this CPU has not",
        hint="Watch the first start, or serve a GGUF with llama.cpp",
        source="PyTorch installation page",
        date="2026-11-22",
    ),
    Rule(
        engines=_GGML,
        kv_caches=("fp8",),
        verdict="refuse",
        what="its key-value cache has no FP8",
        hint='Set kv_cache="q8_0", which takes as much memory, or leave it out',
        source="llama-server --help, --cache-type-k",
        date="2026-11-22",
    ),
    Rule(
        engines=_PYTHON,
        kv_caches=("q8_0",),
        verdict="refuse",
        what="q8_0 is a key-value cache of llama.cpp",
        hint='Set kv_cache="fp8", which takes as much memory, or leave it out',
        source="vLLM's option parser, --kv-cache-dtype",
        date="2026-11-22",
    ),
    Rule(
        engines=_PYTHON,
        kv_caches=("fp8",),
        generations=("ampere", "ascend"),
        verdict="warn",
        what="a key-value cache in FP8 is not confirmed on cards without FP8 arithmetic",
        hint='Watch the first start, or set kv_cache="auto"',
        source="vLLM documentation, quantized KV cache",
        date="2026-11-25",
    ),
)
