"""Qwen3, Qwen3-Coder and Qwen3-VL."""

from __future__ import annotations

from deploys.planning.models.dense import (
    QWEN_3_4B,
    QWEN_3_8B,
    QWEN_3_14B,
    QWEN_3_32B,
    QWEN_3_VL_8B,
    QWEN_3_VL_32B,
)
from deploys.planning.models.entries.sources import (
    AWQ_BITS,
    BY_WIDTH,
    FILES,
    FP8_BITS,
    Q4_BITS,
    QUOTED,
    SUMMED,
)
from deploys.planning.models.experts import (
    QWEN_3_30B,
    QWEN_3_235B,
    QWEN_3_CODER_30B,
    QWEN_3_CODER_480B,
    QWEN_3_VL_30B,
    QWEN_3_VL_235B,
)
from deploys.planning.models.variants import gguf, original, suffixed

ENTRIES = (
    original(QWEN_3_4B, "BF16", 8_050_000_000, BY_WIDTH),
    suffixed(QWEN_3_4B, "FP8", 4_420_000_000, FP8_BITS),
    gguf(QWEN_3_4B, "Q4_K_M", 2_500_000_000, Q4_BITS),
    original(QWEN_3_8B, "BF16", 16_380_000_000, BY_WIDTH),
    suffixed(QWEN_3_8B, "FP8", 9_450_000_000, FP8_BITS),
    suffixed(QWEN_3_8B, "AWQ", 6_100_000_000, AWQ_BITS),
    gguf(QWEN_3_8B, "Q4_K_M", 5_030_000_000, Q4_BITS, repository="Qwen/Qwen3-8B-GGUF"),
    original(QWEN_3_14B, "BF16", 29_540_000_000, BY_WIDTH),
    suffixed(QWEN_3_14B, "FP8", 16_330_000_000, FP8_BITS),
    suffixed(QWEN_3_14B, "AWQ", 9_980_000_000, AWQ_BITS),
    gguf(QWEN_3_14B, "Q4_K_M", 9_000_000_000, Q4_BITS, repository="Qwen/Qwen3-14B-GGUF"),
    original(QWEN_3_32B, "BF16", 65_500_000_000, BY_WIDTH),
    suffixed(QWEN_3_32B, "FP8", 34_300_000_000, FP8_BITS),
    gguf(QWEN_3_32B, "Q4_K_M", 19_762_149_024, QUOTED, repository="Qwen/Qwen3-32B-GGUF"),
    suffixed(QWEN_3_32B, "AWQ", 19_300_000_000, AWQ_BITS),
    original(QWEN_3_30B, "BF16", 61_100_000_000, BY_WIDTH),
    suffixed(QWEN_3_30B, "FP8", 31_200_000_000, FP8_BITS),
    gguf(QWEN_3_30B, "Q4_K_M", 18_556_686_752, QUOTED),
    original(QWEN_3_235B, "BF16", 470_200_000_000, BY_WIDTH),
    suffixed(QWEN_3_235B, "FP8", 236_400_000_000, FP8_BITS),
    gguf(
        QWEN_3_235B,
        "Q4_K_M",
        142_200_000_000,
        "shape: config.json; size: as quoted, three shards",
        files="Q4_K_M/Qwen3-235B-A22B-Instruct-2507-Q4_K_M-*-of-*.gguf",
    ),
    original(QWEN_3_CODER_30B, "BF16", 61_070_000_000, FILES),
    suffixed(QWEN_3_CODER_30B, "FP8", 31_200_000_000, FP8_BITS),
    gguf(QWEN_3_CODER_30B, "Q4_K_M", 18_560_000_000, Q4_BITS),
    original(QWEN_3_CODER_480B, "BF16", 960_300_000_000, BY_WIDTH),
    suffixed(QWEN_3_CODER_480B, "FP8", 482_200_000_000, FP8_BITS),
    original(QWEN_3_VL_8B, "BF16", 17_534_000_000, FILES),
    suffixed(QWEN_3_VL_8B, "FP8", 10_600_000_000, FP8_BITS),
    original(QWEN_3_VL_32B, "BF16", 66_700_000_000, SUMMED),
    suffixed(QWEN_3_VL_32B, "FP8", 35_500_000_000, FP8_BITS),
    original(QWEN_3_VL_30B, "BF16", 62_140_000_000, FILES),
    suffixed(QWEN_3_VL_30B, "FP8", 32_300_000_000, FP8_BITS),
    original(QWEN_3_VL_235B, "BF16", 471_400_000_000, SUMMED),
    suffixed(QWEN_3_VL_235B, "FP8", 237_600_000_000, FP8_BITS),
)
