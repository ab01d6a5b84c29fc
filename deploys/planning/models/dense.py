"""Dense networks of the catalogue."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.models.shapes import Network


def _distill(
    name: str,
    parameters: int,
    shape: tuple[int, int, int, int],
    intermediate: int,
    vocabulary: int,
    licence: str,
) -> Network:
    """Return a distilled DeepSeek-R1; shape: layers, hidden, heads, kv_heads."""
    layers, hidden, heads, kv_heads = shape
    return Network(
        name=f"DeepSeek-R1-Distill-{name}",
        repository=f"deepseek-ai/DeepSeek-R1-Distill-{name}",
        parameters=parameters,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=128,
        intermediate=intermediate,
        vocabulary=vocabulary,
        context=131_072,
        dialect="deepseek-r1",
        licence=licence,
    )


_QWEN = "MIT; base Apache-2.0"
R1_QWEN_1_5B = _distill("Qwen-1.5B", 1_777_000_000, (28, 1536, 12, 2), 8960, 151_936, _QWEN)
R1_QWEN_7B = _distill("Qwen-7B", 7_616_000_000, (28, 3584, 28, 4), 18_944, 152_064, _QWEN)
R1_QWEN_14B = _distill("Qwen-14B", 14_770_000_000, (48, 5120, 40, 8), 13_824, 152_064, _QWEN)
R1_QWEN_32B = _distill("Qwen-32B", 32_760_000_000, (64, 5120, 40, 8), 27_648, 152_064, _QWEN)
R1_LLAMA_8B = _distill(
    "Llama-8B", 8_030_000_000, (32, 4096, 32, 8), 14_336, 128_256, "MIT; base Llama 3.1"
)
R1_LLAMA_70B = _distill(
    "Llama-70B", 70_550_000_000, (80, 8192, 64, 8), 28_672, 128_256, "MIT; base Llama 3.3"
)
LLAMA_3_3_70B = Network(
    name="Llama-3.3-70B-Instruct",
    # This one asks for a token of an account that has accepted the licence.
    repository="meta-llama/Llama-3.3-70B-Instruct",
    modelscope="LLM-Research/Llama-3.3-70B-Instruct",
    parameters=70_550_000_000,
    layers=80,
    hidden=8192,
    heads=64,
    kv_heads=8,
    head_dim=128,
    intermediate=28_672,
    vocabulary=128_256,
    context=131_072,
    dialect="llama-3",
    licence="Llama 3.3",
)
QWEN_2_5_72B = Network(
    name="Qwen2.5-72B-Instruct",
    repository="Qwen/Qwen2.5-72B-Instruct",
    parameters=72_706_000_000,
    layers=80,
    hidden=8192,
    heads=64,
    kv_heads=8,
    head_dim=128,
    intermediate=29_568,
    vocabulary=152_064,
    context=32_768,
    dialect="qwen2.5",
    licence="Qwen License",
)
CODER_33B = Network(
    name="deepseek-coder-33b-instruct",
    repository="deepseek-ai/deepseek-coder-33b-instruct",
    parameters=33_340_000_000,
    layers=62,
    hidden=7168,
    heads=56,
    kv_heads=8,
    head_dim=128,
    intermediate=19_200,
    vocabulary=32_256,
    context=16_384,
    dialect="plain",
    licence="DeepSeek Model License",
)
QWEN_3_32B = Network(
    name="Qwen3-32B",
    repository="Qwen/Qwen3-32B",
    parameters=32_760_000_000,
    layers=64,
    hidden=5120,
    heads=64,
    kv_heads=8,
    head_dim=128,
    intermediate=25_600,
    vocabulary=151_936,
    context=40_960,
    dialect="qwen3",
    licence="Apache-2.0",
)
QWEN_3_4B = replace(
    QWEN_3_32B,
    name="Qwen3-4B-Instruct-2507",
    repository="Qwen/Qwen3-4B-Instruct-2507",
    parameters=4_022_000_000,
    layers=36,
    hidden=2560,
    heads=32,
    intermediate=9728,
    tied_embeddings=True,
    context=262_144,
    dialect="qwen3-instruct",
)
QWEN_3_8B = replace(
    QWEN_3_32B,
    name="Qwen3-8B",
    repository="Qwen/Qwen3-8B",
    parameters=8_191_000_000,
    layers=36,
    hidden=4096,
    heads=32,
    intermediate=12_288,
)
QWEN_3_14B = replace(
    QWEN_3_32B,
    name="Qwen3-14B",
    repository="Qwen/Qwen3-14B",
    parameters=14_768_000_000,
    layers=40,
    heads=40,
    intermediate=17_408,
)
QWEN_3_VL_8B = replace(
    QWEN_3_8B,
    name="Qwen3-VL-8B-Instruct",
    repository="Qwen/Qwen3-VL-8B-Instruct",
    parameters=8_767_000_000,
    context=262_144,
    dialect="qwen3-instruct",
    images=True,
)
QWEN_3_VL_32B = replace(
    QWEN_3_32B,
    name="Qwen3-VL-32B-Instruct",
    repository="Qwen/Qwen3-VL-32B-Instruct",
    parameters=33_360_000_000,
    context=262_144,
    dialect="qwen3-instruct",
    images=True,
)
LLAMA_3_1_8B = replace(
    LLAMA_3_3_70B,
    name="Meta-Llama-3.1-8B-Instruct",
    repository="meta-llama/Meta-Llama-3.1-8B-Instruct",
    modelscope="LLM-Research/Meta-Llama-3.1-8B-Instruct",
    parameters=8_030_000_000,
    layers=32,
    hidden=4096,
    heads=32,
    intermediate=14_336,
    licence="Llama 3.1",
)
# Five of six layers look back 1,024 tokens, with other heads than those that keep all.
GEMMA_4_31B = Network(
    name="gemma-4-31B-it",
    repository="google/gemma-4-31B-it",
    parameters=31_107_000_000,
    layers=60,
    hidden=5376,
    heads=32,
    kv_heads=4,
    head_dim=512,
    full_attention_interval=6,
    sliding_window=1024,
    window_kv_heads=16,
    window_head_dim=256,
    keys_are_values=True,
    vocabulary=262_144,
    tied_embeddings=True,
    intermediate=21_504,
    context=262_144,
    dialect="gemma-4",
    images=True,
    licence="Apache-2.0",
)
