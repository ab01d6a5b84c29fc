"""What was distilled from DeepSeek-R1, and models of its time."""

from __future__ import annotations

from deploys.planning.models.dense import (
    CODER_33B,
    QWEN_2_5_72B,
    R1_LLAMA_8B,
    R1_LLAMA_70B,
    R1_QWEN_1_5B,
    R1_QWEN_7B,
    R1_QWEN_14B,
    R1_QWEN_32B,
)
from deploys.planning.models.entries.sources import AWQ_BITS, BY_WIDTH, Q4_BITS
from deploys.planning.models.variants import gguf, original, safetensors, suffixed

ENTRIES = (
    original(R1_QWEN_1_5B, "BF16", 3_600_000_000, BY_WIDTH),
    safetensors(
        R1_QWEN_1_5B,
        "AWQ",
        1_620_000_000,
        AWQ_BITS,
        "casperhansen/deepseek-r1-distill-qwen-1.5b-awq",
    ),
    gguf(R1_QWEN_1_5B, "Q4_K_M", 1_100_000_000, Q4_BITS),
    original(R1_QWEN_7B, "BF16", 15_200_000_000, BY_WIDTH),
    safetensors(
        R1_QWEN_7B, "AWQ", 5_600_000_000, AWQ_BITS, "casperhansen/deepseek-r1-distill-qwen-7b-awq"
    ),
    safetensors(
        R1_QWEN_7B,
        "GPTQ",
        5_570_000_000,
        AWQ_BITS,
        None,
        "tclf90/deepseek-r1-distill-qwen-7b-gptq-int4",
    ),
    gguf(R1_QWEN_7B, "Q4_K_M", 4_700_000_000, Q4_BITS),
    original(R1_LLAMA_8B, "BF16", 16_100_000_000, BY_WIDTH),
    safetensors(
        R1_LLAMA_8B, "AWQ", 5_800_000_000, AWQ_BITS, "casperhansen/deepseek-r1-distill-llama-8b-awq"
    ),
    gguf(R1_LLAMA_8B, "Q4_K_M", 4_900_000_000, Q4_BITS),
    original(R1_QWEN_14B, "BF16", 29_500_000_000, BY_WIDTH),
    safetensors(
        R1_QWEN_14B,
        "AWQ",
        10_100_000_000,
        AWQ_BITS,
        "casperhansen/deepseek-r1-distill-qwen-14b-awq",
    ),
    gguf(R1_QWEN_14B, "Q4_K_M", 9_000_000_000, Q4_BITS),
    original(R1_QWEN_32B, "BF16", 65_500_000_000, BY_WIDTH),
    safetensors(
        R1_QWEN_32B,
        "FP8",
        33_500_000_000,
        BY_WIDTH,
        "RedHatAI/DeepSeek-R1-Distill-Qwen-32B-FP8-dynamic",
        scale_group=1,
    ),
    gguf(R1_QWEN_32B, "Q4_K_M", 19_900_000_000, Q4_BITS),
    safetensors(
        R1_QWEN_32B,
        "GPTQ",
        19_330_000_000,
        AWQ_BITS,
        None,
        "tclf90/deepseek-r1-distill-qwen-32b-gptq-int4",
    ),
    safetensors(
        R1_QWEN_32B,
        "AWQ",
        19_300_000_000,
        AWQ_BITS,
        "casperhansen/deepseek-r1-distill-qwen-32b-awq",
    ),
    original(R1_LLAMA_70B, "BF16", 141_100_000_000, BY_WIDTH),
    safetensors(
        R1_LLAMA_70B,
        "FP8",
        72_500_000_000,
        BY_WIDTH,
        "RedHatAI/DeepSeek-R1-Distill-Llama-70B-FP8-dynamic",
        scale_group=1,
    ),
    gguf(R1_LLAMA_70B, "Q4_K_M", 42_500_000_000, Q4_BITS),
    safetensors(
        R1_LLAMA_70B,
        "AWQ",
        39_800_000_000,
        AWQ_BITS,
        "casperhansen/deepseek-r1-distill-llama-70b-awq",
    ),
    original(QWEN_2_5_72B, "BF16", 145_400_000_000, BY_WIDTH),
    gguf(
        QWEN_2_5_72B,
        "Q4_K_M",
        47_400_000_000,
        "shape: config.json; size: of the same quantization in another repository",
        repository="Qwen/Qwen2.5-72B-Instruct-GGUF",
        files="qwen2.5-72b-instruct-q4_k_m-*-of-*.gguf",
    ),
    suffixed(QWEN_2_5_72B, "AWQ", 42_300_000_000, AWQ_BITS),
    original(CODER_33B, "BF16", 66_700_000_000, BY_WIDTH),
    safetensors(
        CODER_33B, "AWQ", 18_100_000_000, AWQ_BITS, "TheBloke/deepseek-coder-33B-instruct-AWQ"
    ),
)
