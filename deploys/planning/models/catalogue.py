"""The catalogue: every known model, by the key that inventories use."""

from __future__ import annotations

import difflib

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.dense import (
    CODER_33B,
    LLAMA_3_3_70B,
    QWEN_2_5_72B,
    QWEN_3_32B,
    R1_LLAMA_8B,
    R1_LLAMA_70B,
    R1_QWEN_1_5B,
    R1_QWEN_7B,
    R1_QWEN_14B,
    R1_QWEN_32B,
)
from deploys.planning.models.experts import (
    GPT_OSS_20B,
    GPT_OSS_120B,
    KIMI_K2,
    KIMI_K2_THINKING,
    QWEN_3_30B,
    QWEN_3_235B,
    R1,
    R1_0528,
    R1_FP8,
    V3,
    V3_1,
    V3_2,
)
from deploys.planning.models.glm import GLM_4_6, GLM_4_7, GLM_5
from deploys.planning.models.hybrids import QWEN_3_6_27B, QWEN_3_6_35B
from deploys.planning.models.model import Model
from deploys.planning.models.variants import gguf, original, r1_gguf, safetensors, suffixed


def model(key: str) -> Model:
    """Return the catalogue's entry; raise Refusal, with the closest keys, if there is none."""
    if key not in CATALOGUE:
        close = difflib.get_close_matches(key, CATALOGUE, n=3, cutoff=0.4)
        raise Refusal(
            f"There is no model {key!r} in the catalogue"
            + (f", did you mean {' or '.join(close)}" if close else ""),
            "Add an entry to deploys/planning/models/catalogue.py, or give the service a Model"
            " instead",
        )
    return CATALOGUE[key]


_NOMINAL = "shape: config.json; size: parameters by width"
_Q4 = "shape: config.json; size: estimate, 4.85 bits a weight"
_AWQ = "shape: config.json; size: estimate, 4.25 bits a weight, embeddings and head in 16"
_DYNAMIC = "shape: config.json; size: Unsloth's table of dynamic quantizations, which counts in GiB"
# What was read on 2026-11-25, in public repositories that quote the hubs.
_FP8 = "shape: config.json; size: estimate, 8 bits a weight, embeddings, head and images in 16"
_QUOTED = "shape: config.json; size: as quoted with its sha256"
_SUMMED = "shape: config.json; size: parameters by width, with the MTP layer and images"
_HEADERS = "shape: config.json; size: sum of the shards' headers"
_INDEX = "shape: config.json; size: index"
_V3 = "shape: config.json; size: as DeepSeek-R1"

# The networks of DeepSeek-R1's time, and each one's variants, the largest first.
_FIRST = (
    original(R1_FP8, "FP8", 688_600_000_000, "shape: config.json; size: index, with the MTP layer"),
    r1_gguf(R1, "Q4_K_M", 404_430_187_616, "shape: config.json; size: a listing of nine shards"),
    safetensors(
        R1,
        "AWQ",
        360_000_000_000,
        _AWQ,
        "cognitivecomputations/DeepSeek-R1-AWQ",
        "cognitivecomputations/DeepSeek-R1-awq",
    ),
    r1_gguf(R1, "UD-Q2_K_XL", 227_600_000_000, _DYNAMIC),
    r1_gguf(R1, "UD-IQ2_XXS", 196_500_000_000, _DYNAMIC),
    r1_gguf(R1, "UD-IQ1_M", 169_700_000_000, _DYNAMIC),
    r1_gguf(R1, "UD-IQ1_S", 140_200_000_000, _DYNAMIC),
    original(V3, "FP8", 688_600_000_000, _V3),
    original(R1_QWEN_1_5B, "BF16", 3_600_000_000, _NOMINAL),
    safetensors(
        R1_QWEN_1_5B, "AWQ", 1_620_000_000, _AWQ, "casperhansen/deepseek-r1-distill-qwen-1.5b-awq"
    ),
    gguf(R1_QWEN_1_5B, "Q4_K_M", 1_100_000_000, _Q4),
    original(R1_QWEN_7B, "BF16", 15_200_000_000, _NOMINAL),
    safetensors(
        R1_QWEN_7B, "AWQ", 5_600_000_000, _AWQ, "casperhansen/deepseek-r1-distill-qwen-7b-awq"
    ),
    gguf(R1_QWEN_7B, "Q4_K_M", 4_700_000_000, _Q4),
    original(R1_LLAMA_8B, "BF16", 16_100_000_000, _NOMINAL),
    safetensors(
        R1_LLAMA_8B, "AWQ", 5_800_000_000, _AWQ, "casperhansen/deepseek-r1-distill-llama-8b-awq"
    ),
    gguf(R1_LLAMA_8B, "Q4_K_M", 4_900_000_000, _Q4),
    original(R1_QWEN_14B, "BF16", 29_500_000_000, _NOMINAL),
    safetensors(
        R1_QWEN_14B, "AWQ", 10_100_000_000, _AWQ, "casperhansen/deepseek-r1-distill-qwen-14b-awq"
    ),
    gguf(R1_QWEN_14B, "Q4_K_M", 9_000_000_000, _Q4),
    original(R1_QWEN_32B, "BF16", 65_500_000_000, _NOMINAL),
    safetensors(
        R1_QWEN_32B,
        "FP8",
        33_500_000_000,
        _NOMINAL,
        "RedHatAI/DeepSeek-R1-Distill-Qwen-32B-FP8-dynamic",
        scale_group=1,
    ),
    gguf(R1_QWEN_32B, "Q4_K_M", 19_900_000_000, _Q4),
    safetensors(
        R1_QWEN_32B, "AWQ", 19_300_000_000, _AWQ, "casperhansen/deepseek-r1-distill-qwen-32b-awq"
    ),
    original(R1_LLAMA_70B, "BF16", 141_100_000_000, _NOMINAL),
    safetensors(
        R1_LLAMA_70B,
        "FP8",
        72_500_000_000,
        _NOMINAL,
        "RedHatAI/DeepSeek-R1-Distill-Llama-70B-FP8-dynamic",
        scale_group=1,
    ),
    gguf(R1_LLAMA_70B, "Q4_K_M", 42_500_000_000, _Q4),
    safetensors(
        R1_LLAMA_70B, "AWQ", 39_800_000_000, _AWQ, "casperhansen/deepseek-r1-distill-llama-70b-awq"
    ),
    original(QWEN_2_5_72B, "BF16", 145_400_000_000, _NOMINAL),
    gguf(
        QWEN_2_5_72B,
        "Q4_K_M",
        47_400_000_000,
        "shape: config.json; size: of the same quantization in another repository",
        repository="Qwen/Qwen2.5-72B-Instruct-GGUF",
        files="qwen2.5-72b-instruct-q4_k_m-*-of-*.gguf",
    ),
    suffixed(QWEN_2_5_72B, "AWQ", 42_300_000_000, _AWQ),
    original(CODER_33B, "BF16", 66_700_000_000, _NOMINAL),
    safetensors(CODER_33B, "AWQ", 18_100_000_000, _AWQ, "TheBloke/deepseek-coder-33B-instruct-AWQ"),
)

# What came after them. Left out, as no field of network.py says what their attention keeps:
# DeepSeek-V4, GLM-5.2, Kimi-K3.
_LATER = (
    original(R1_0528, "FP8", 688_600_000_000, _V3),
    original(V3_1, "FP8", 688_600_000_000, _V3),
    original(V3_2, "FP8", 689_500_000_000, "shape: config.json; size: DeepSeek-R1 and the indexer"),
    original(QWEN_3_32B, "BF16", 65_500_000_000, _NOMINAL),
    suffixed(QWEN_3_32B, "FP8", 34_300_000_000, _FP8),
    gguf(QWEN_3_32B, "Q4_K_M", 19_762_149_024, _QUOTED, repository="Qwen/Qwen3-32B-GGUF"),
    suffixed(QWEN_3_32B, "AWQ", 19_300_000_000, _AWQ),
    original(QWEN_3_30B, "BF16", 61_100_000_000, _NOMINAL),
    suffixed(QWEN_3_30B, "FP8", 31_200_000_000, _FP8),
    gguf(QWEN_3_30B, "Q4_K_M", 18_556_686_752, _QUOTED),
    original(QWEN_3_235B, "BF16", 470_200_000_000, _NOMINAL),
    suffixed(QWEN_3_235B, "FP8", 236_400_000_000, _FP8),
    gguf(
        QWEN_3_235B,
        "Q4_K_M",
        142_200_000_000,
        "shape: config.json; size: as quoted, three shards",
        files="Q4_K_M/Qwen3-235B-A22B-Instruct-2507-Q4_K_M-*-of-*.gguf",
    ),
    original(QWEN_3_6_27B, "BF16", 55_560_000_000, _INDEX),
    suffixed(QWEN_3_6_27B, "FP8", 30_800_000_000, _FP8),
    safetensors(
        QWEN_3_6_27B,
        "AWQ",
        22_500_000_000,
        "shape: config.json; size: as quoted, 21 GiB, since not all is in 4 bits",
        "QuantTrio/Qwen3.6-27B-AWQ",
        "tclf90/Qwen3.6-27B-AWQ",
    ),
    gguf(QWEN_3_6_27B, "Q4_K_M", 16_817_244_384, _QUOTED),
    original(QWEN_3_6_35B, "BF16", 71_900_000_000, _SUMMED),
    suffixed(QWEN_3_6_35B, "FP8", 37_400_000_000, _FP8),
    safetensors(
        QWEN_3_6_35B,
        "AWQ",
        25_460_000_000,
        "shape: config.json; size: as quoted, since not all is in 4 bits",
        "QuantTrio/Qwen3.6-35B-A3B-AWQ",
        "tclf90/Qwen3.6-35B-A3B-AWQ",
    ),
    gguf(QWEN_3_6_35B, "UD-Q4_K_M", 22_134_528_992, _QUOTED),
    original(GPT_OSS_20B, "MXFP4", 13_761_264_768, _INDEX, folders=True),
    gguf(
        GPT_OSS_20B,
        "MXFP4",
        12_109_566_560,
        _QUOTED,
        repository="ggml-org/gpt-oss-20b-GGUF",
        modelscope=False,
        # The repository has changed from small to capital letters.
        files="gpt-oss-20b-[Mm][Xx][Ff][Pp]4.gguf",
    ),
    original(GPT_OSS_120B, "MXFP4", 65_248_893_184, _HEADERS, folders=True),
    gguf(
        GPT_OSS_120B,
        "MXFP4",
        63_400_000_000,
        "shape: config.json; size: as quoted, 59 GiB in three shards",
        repository="ggml-org/gpt-oss-120b-GGUF",
        modelscope=False,
        files="gpt-oss-120b-[Mm][Xx][Ff][Pp]4-*-of-*.gguf",
    ),
    original(LLAMA_3_3_70B, "BF16", 141_100_000_000, _NOMINAL),
    safetensors(
        LLAMA_3_3_70B,
        "FP8",
        72_500_000_000,
        _NOMINAL,
        "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic",
        scale_group=1,
    ),
    gguf(
        LLAMA_3_3_70B,
        "Q4_K_M",
        42_500_000_000,
        _Q4,
        repository="lmstudio-community/Llama-3.3-70B-Instruct-GGUF",
    ),
    safetensors(
        LLAMA_3_3_70B, "AWQ", 39_800_000_000, _AWQ, "casperhansen/llama-3.3-70b-instruct-awq"
    ),
    suffixed(GLM_4_6, "FP8", 361_000_000_000, _FP8, scale_group=1),
    suffixed(GLM_4_7, "FP8", 361_000_000_000, _FP8, scale_group=1),
    suffixed(GLM_5, "FP8", 757_000_000_000, _FP8),
    original(KIMI_K2, "FP8", 1_029_173_256_720, _HEADERS),
    original(KIMI_K2_THINKING, "INT4", 594_205_920_512, _HEADERS),
)

CATALOGUE: dict[str, Model] = {entry.key: entry for entry in (*_FIRST, *_LATER)}
