"""Dense networks of the catalogue."""

from __future__ import annotations

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
