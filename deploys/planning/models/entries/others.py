"""GLM, MiniMax, gpt-oss, Llama and Gemma."""

from __future__ import annotations

from deploys.planning.models.dense import GEMMA_4_31B, LLAMA_3_1_8B, LLAMA_3_3_70B
from deploys.planning.models.entries.sources import (
    AWQ_BITS,
    BY_WIDTH,
    FILES,
    FP8_BITS,
    HEADERS,
    INDEX,
    Q4_BITS,
    QUOTED,
    SUMMED,
)
from deploys.planning.models.experts import (
    GPT_OSS_20B,
    GPT_OSS_120B,
    LLAMA_4_SCOUT,
    MINIMAX_M2,
    MINIMAX_M2_5,
    MINIMAX_M2_7,
    MINIMAX_M3,
)
from deploys.planning.models.glm import (
    GLM_4_5_AIR,
    GLM_4_6,
    GLM_4_7,
    GLM_4_7_FLASH,
    GLM_5,
    GLM_5_1,
    GLM_5_2,
)
from deploys.planning.models.variants import gguf, original, safetensors, suffixed

ENTRIES = (
    original(GLM_4_5_AIR, "BF16", 220_800_000_000, SUMMED),
    suffixed(GLM_4_5_AIR, "FP8", 112_900_000_000, FP8_BITS, scale_group=1),
    suffixed(GLM_4_6, "FP8", 361_000_000_000, FP8_BITS, scale_group=1),
    suffixed(GLM_4_7, "FP8", 361_000_000_000, FP8_BITS, scale_group=1),
    original(GLM_4_7_FLASH, "BF16", 62_450_000_000, FILES),
    suffixed(GLM_5, "FP8", 757_000_000_000, FP8_BITS),
    suffixed(GLM_5_1, "FP8", 757_000_000_000, FP8_BITS),
    suffixed(GLM_5_2, "FP8", 756_400_000_000, FP8_BITS),
    original(MINIMAX_M2, "FP8", 230_140_000_000, FILES),
    original(MINIMAX_M2_5, "FP8", 230_140_000_000, FILES),
    original(MINIMAX_M2_7, "FP8", 230_140_000_000, FILES),
    original(MINIMAX_M3, "BF16", 854_180_000_000, FILES),
    suffixed(MINIMAX_M3, "MXFP8", 443_750_000_000, FILES),
    original(GPT_OSS_20B, "MXFP4", 13_761_264_768, INDEX, folders=True),
    gguf(
        GPT_OSS_20B,
        "MXFP4",
        12_109_566_560,
        QUOTED,
        repository="ggml-org/gpt-oss-20b-GGUF",
        modelscope=False,
        # The repository has changed from small to capital letters.
        files="gpt-oss-20b-[Mm][Xx][Ff][Pp]4.gguf",
    ),
    original(GPT_OSS_120B, "MXFP4", 65_248_893_184, HEADERS, folders=True),
    gguf(
        GPT_OSS_120B,
        "MXFP4",
        63_400_000_000,
        "shape: config.json; size: as quoted, 59 GiB in three shards",
        repository="ggml-org/gpt-oss-120b-GGUF",
        modelscope=False,
        files="gpt-oss-120b-[Mm][Xx][Ff][Pp]4-*-of-*.gguf",
    ),
    original(LLAMA_3_1_8B, "BF16", 16_060_000_000, BY_WIDTH),
    original(LLAMA_3_3_70B, "BF16", 141_100_000_000, BY_WIDTH),
    safetensors(
        LLAMA_3_3_70B,
        "FP8",
        72_500_000_000,
        BY_WIDTH,
        "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
        scale_group=1,
    ),
    gguf(
        LLAMA_3_3_70B,
        "Q4_K_M",
        42_500_000_000,
        Q4_BITS,
        repository="lmstudio-community/Llama-3.3-70B-Instruct-GGUF",
    ),
    safetensors(
        LLAMA_3_3_70B, "AWQ", 39_800_000_000, AWQ_BITS, "casperhansen/llama-3.3-70b-instruct-awq"
    ),
    original(LLAMA_4_SCOUT, "BF16", 217_300_000_000, SUMMED),
    original(GEMMA_4_31B, "BF16", 62_500_000_000, SUMMED),
)
