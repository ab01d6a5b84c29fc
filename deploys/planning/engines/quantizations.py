"""Which quantizations of safetensors the pinned engines read, and from which cards on.

Read from their sources on 2026-11-30: the registry of their methods, what each accepts of a
configuration, get_min_capability of the method or of the scheme that it chooses, and whether the
libraries that it imports are in the lock. tests/unit/data/quantizations.yaml has a configuration of
every kind. The methods for NVIDIA's cards alone: those of AMD and Ascend are other builds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploys.planning.checkpoint.quantization import PLAIN
from deploys.planning.hardware.gpus import Accelerator


@dataclass(frozen=True, kw_only=True)
class Quantizations:
    """What an engine reads.

    + since: by name, the compute capability of the cards that it begins with
    + without_cards: what it reads beside these where there are no cards
    + why, hint: what is said of the others; "" says which one it is, and what would do instead
    """

    since: Mapping[str, str]
    without_cards: tuple[str, ...] = ()
    why: str = ""
    hint: str = ""

    def reads(self, name: str, gpu: Accelerator | None) -> bool:
        """Return whether it reads a quantization, on these cards or without any."""
        if gpu is None:
            return name in PLAIN or name in self.since or name in self.without_cards
        return name in PLAIN or _number(gpu.compute) >= _number(self.since.get(name, "999"))


def _number(compute: str) -> tuple[int, ...]:
    return tuple(int(part) for part in compute.split("."))


# vLLM 0.32, model_executor/layers/quantization. Not read any more: GPTQ with desc_act or without
# sym (utils/gptq_utils.py, auto_gptq.py), actorder (compressed_tensors.py), sparse weights,
# bitsandbytes; fbgemm_fp8 asks for an option. AWQ is taken for gemm's layout whatever it says.
# torchao is not in its lock. INT4 in 4 to 8 bits waits for Marlin, which begins with 7.5.
VLLM = Quantizations(
    since={
        **dict.fromkeys(("AWQ", "GPTQ", "FP8", "FP8-AUTOROUND", "INT4", "NVFP4"), "7.5"),
        **dict.fromkeys(("NVFP4-FP8", "NVFP4-W4A16", "W4A16", "W4A16-AUTOROUND"), "7.5"),
        **dict.fromkeys(("W4A16-FP8", "W4A16-QUARK", "W4A16-W8A16", "W4A8-PACK"), "7.5"),
        **dict.fromkeys(("W8A16", "W8A16-AUTOROUND", "W8A8", "W8A8-QUARK"), "7.5"),
        **dict.fromkeys(("FP8-MXFP4", "FP8-PB-WO", "FP8-PER-CHANNEL-PER-TOKEN"), "8.0"),
        **dict.fromkeys(("MXFP4", "MXFP4-AUTOROUND", "MXFP4-PACK", "MXFP4-QUARK"), "8.0"),
        **dict.fromkeys(("MXFP8", "MXFP8-AUTOROUND"), "8.0"),
        "FP8-QUARK": "8.9",
        "W4AFP8-PACK": "9.0",
    },
    # kernels/linear/mixed_precision/dynamic_4bit.py
    without_cards=("W4A8",),
)
# SGLang 0.5.23, srt/layers/quantization. GPTQ is read by Marlin alone, the slower kernel is gone;
# of ModelOpt's FP8 one scale a matrix; AMD's MXFP4 by AMD's kernels. bitsandbytes is not in its
# lock, and ModelSlim's kernels are Ascend's.
SGLANG = Quantizations(
    since={
        **dict.fromkeys(("AWQ", "GPTQ", "GPTQ-DESC-ACT", "FP8", "INT4"), "8.0"),
        **dict.fromkeys(("MXFP4", "MXFP4-PACK", "NVFP4", "NVFP4-AWQ", "NVFP4-FP8"), "8.0"),
        **dict.fromkeys(("NVFP4-W4A16", "W4A16", "W4A16-ACTORDER", "W4A16-AUTOROUND"), "8.0"),
        **dict.fromkeys(("W4A16-FP8", "W4A16-W8A16", "W8A16", "W8A16-ACTORDER"), "8.0"),
        **dict.fromkeys(("W8A16-AUTOROUND", "W8A8", "W8A8-BLOCK", "W8A8-CHANNEL"), "8.0"),
        **dict.fromkeys(("FP8-CHANNEL", "FP8-QUARK"), "8.9"),
        **dict.fromkeys(("FP8-MXFP4", "W4AFP8"), "9.0"),
        "MXFP8": "10.0",
    }
)
# KTransformers 0.7.2: what its methods are given here (rendering/ktransformers.py) of those that
# kt_kernel/experts.py has.
KTRANSFORMERS = Quantizations(
    since=dict.fromkeys(("FP8", "INT4"), "8.0"),
    why="it computes with experts in FP8, BF16 or INT4, as their makers published them",
    hint="Choose the original weights, or a GGUF variant for llama.cpp",
)
