"""Qwen3-Next, Qwen3.5, 3.6 and 3.8: most of their layers have linear attention."""

from __future__ import annotations

from deploys.planning.models.entries.sources import FILES, FP8_BITS, INDEX, QUOTED, RECIPE, SUMMED
from deploys.planning.models.hybrids import (
    QWEN_3_5_9B,
    QWEN_3_5_122B,
    QWEN_3_5_397B,
    QWEN_3_6_27B,
    QWEN_3_6_35B,
    QWEN_3_8_27B,
    QWEN_3_NEXT_80B,
    QWEN_3_NEXT_80B_THINKING,
)
from deploys.planning.models.variants import gguf, original, safetensors, suffixed

ENTRIES = (
    original(QWEN_3_NEXT_80B, "BF16", 162_660_000_000, SUMMED),
    suffixed(QWEN_3_NEXT_80B, "FP8", 82_055_000_000, FILES),
    original(QWEN_3_NEXT_80B_THINKING, "BF16", 162_660_000_000, SUMMED),
    suffixed(QWEN_3_NEXT_80B_THINKING, "FP8", 82_055_000_000, FILES),
    original(QWEN_3_5_9B, "BF16", 19_300_000_000, SUMMED),
    original(QWEN_3_5_122B, "BF16", 250_200_000_000, SUMMED),
    suffixed(QWEN_3_5_122B, "FP8", 127_200_000_000, FP8_BITS),
    original(QWEN_3_5_397B, "BF16", 806_800_000_000, SUMMED),
    suffixed(QWEN_3_5_397B, "FP8", 406_000_000_000, FP8_BITS),
    original(QWEN_3_6_27B, "BF16", 55_560_000_000, INDEX),
    suffixed(QWEN_3_6_27B, "FP8", 30_800_000_000, FP8_BITS),
    safetensors(
        QWEN_3_6_27B,
        "AWQ",
        22_500_000_000,
        "shape: config.json; size: as quoted, 21 GiB, since not all is in 4 bits",
        "QuantTrio/Qwen3.6-27B-AWQ",
        "tclf90/Qwen3.6-27B-AWQ",
    ),
    gguf(QWEN_3_6_27B, "Q4_K_M", 16_817_244_384, QUOTED),
    original(QWEN_3_6_35B, "BF16", 71_900_000_000, SUMMED),
    suffixed(QWEN_3_6_35B, "FP8", 37_400_000_000, FP8_BITS),
    safetensors(
        QWEN_3_6_35B,
        "AWQ",
        25_460_000_000,
        "shape: config.json; size: as quoted, since not all is in 4 bits",
        "QuantTrio/Qwen3.6-35B-A3B-AWQ",
        "tclf90/Qwen3.6-35B-A3B-AWQ",
    ),
    gguf(QWEN_3_6_35B, "UD-Q4_K_M", 22_134_528_992, QUOTED),
    original(QWEN_3_8_27B, "BF16", 55_563_006_776, RECIPE),
    suffixed(QWEN_3_8_27B, "FP8", 30_866_866_928, RECIPE),
    gguf(QWEN_3_8_27B, "UD-Q4_K_XL", 17_559_178_144, QUOTED),
)
