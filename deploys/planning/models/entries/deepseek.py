"""DeepSeek's own networks and Kimi's, which have their shape."""

from __future__ import annotations

from deploys.planning.models.deepseek_v4 import V4_FLASH, V4_PRO
from deploys.planning.models.entries.sources import AS_R1, AWQ_BITS, DYNAMIC, FILES, HEADERS, LISTED
from deploys.planning.models.experts import (
    KIMI_K2,
    KIMI_K2_5,
    KIMI_K2_6,
    KIMI_K2_7_CODE,
    KIMI_K2_THINKING,
    R1,
    R1_0528,
    R1_FP8,
    V3,
    V3_1,
    V3_2,
)
from deploys.planning.models.hybrids import KIMI_K3
from deploys.planning.models.variants import gguf, original, r1_gguf, safetensors

ENTRIES = (
    # For cards without FP8, and with the MTP layer, too.
    safetensors(
        R1_FP8,
        "BF16",
        1_368_979_691_008,
        "shape: config.json; size: parameters by width, with the MTP layer; 1275 GiB as listed",
        "unsloth/DeepSeek-R1-BF16",
        "unsloth/DeepSeek-R1-BF16",
    ),
    original(R1_FP8, "FP8", 688_600_000_000, "shape: config.json; size: index, with the MTP layer"),
    # The GGUF files of January 2025 are older than llama.cpp's cache of one latent vector.
    r1_gguf(R1, "Q4_K_M", 404_430_187_616, "shape: config.json; size: a listing of nine shards"),
    safetensors(
        R1,
        "AWQ",
        360_000_000_000,
        AWQ_BITS,
        "cognitivecomputations/DeepSeek-R1-AWQ",
        "cognitivecomputations/DeepSeek-R1-awq",
    ),
    r1_gguf(R1, "UD-Q2_K_XL", 227_600_000_000, DYNAMIC),
    r1_gguf(R1, "UD-IQ2_XXS", 196_500_000_000, DYNAMIC),
    r1_gguf(R1, "UD-IQ1_M", 169_700_000_000, DYNAMIC),
    r1_gguf(R1, "UD-IQ1_S", 140_200_000_000, DYNAMIC),
    original(V3, "FP8", 688_600_000_000, AS_R1),
    # Those that came after them were converted with it: 70,272 bytes a token.
    original(R1_0528, "FP8", 688_600_000_000, AS_R1),
    gguf(
        R1_0528,
        "Q4_K_M",
        404_900_000_000,
        LISTED,
        files="Q4_K_M/DeepSeek-R1-0528-Q4_K_M-*-of-*.gguf",
    ),
    gguf(
        R1_0528,
        "UD-IQ1_S",
        184_700_000_000,
        LISTED,
        files="UD-IQ1_S/DeepSeek-R1-0528-UD-IQ1_S-*-of-*.gguf",
    ),
    original(V3_1, "FP8", 688_600_000_000, AS_R1),
    gguf(V3_1, "Q4_K_M", 405_400_000_000, LISTED, files="Q4_K_M/DeepSeek-V3.1-Q4_K_M-*-of-*.gguf"),
    gguf(
        V3_1,
        "UD-Q2_K_XL",
        255_400_000_000,
        LISTED,
        files="UD-Q2_K_XL/DeepSeek-V3.1-UD-Q2_K_XL-*-of-*.gguf",
    ),
    original(V3_2, "FP8", 689_500_000_000, "shape: config.json; size: DeepSeek-R1 and the indexer"),
    original(KIMI_K2, "FP8", 1_029_173_256_720, HEADERS),
    original(KIMI_K2_THINKING, "INT4", 594_205_920_512, HEADERS),
    original(KIMI_K2_5, "INT4", 595_180_000_000, FILES),
    original(KIMI_K2_6, "INT4", 595_180_000_000, FILES),
    original(KIMI_K2_7_CODE, "INT4", 595_180_000_000, FILES),
    original(V4_FLASH, "FP8-MXFP4", 166_900_000_000, FILES),
    original(V4_PRO, "FP8-MXFP4", 864_720_000_000, FILES),
    original(KIMI_K3, "MXFP4", 1_560_950_000_000, FILES),
)
