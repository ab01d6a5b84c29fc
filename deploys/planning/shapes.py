"""The networks that the catalogue's variants share; numbers as in their config.json.

That they are right shows in a test: multiplied out, they give the published count of weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Network:
    """What all variants of one network share; numbers as in its config.json.

    + repository: the vendor's own, which has this name on both hubs
    """

    name: str
    repository: str
    parameters: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    context: int
    licence: str
    head_dim: int = 128
    active_parameters: int | None = None
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    q_lora_rank: int | None = None
    vocabulary: int
    intermediate: int
    experts: int = 0
    experts_used: int = 0
    shared_experts: int = 0
    expert_intermediate: int = 0
    dense_layers: int = 0
    mtp_layers: int = 0


# For MLA, head_dim is that of the values and of the keys without their rotary part.
R1 = Network(
    name="DeepSeek-R1",
    repository="deepseek-ai/DeepSeek-R1",
    parameters=671_000_000_000,
    active_parameters=37_000_000_000,
    layers=61,
    hidden=7168,
    heads=128,
    kv_heads=128,
    kv_lora_rank=512,
    rope_head_dim=64,
    q_lora_rank=1536,
    vocabulary=129_280,
    intermediate=18_432,
    experts=256,
    experts_used=8,
    shared_experts=1,
    expert_intermediate=2048,
    dense_layers=3,
    context=163_840,
    licence="MIT",
)
# The vendor's own files hold the layer that predicts one token more; quantizations left it out.
R1_FP8 = replace(R1, mtp_layers=1)
V3 = replace(
    R1_FP8,
    name="DeepSeek-V3",
    repository="deepseek-ai/DeepSeek-V3",
    licence="DeepSeek Model License",
)


def _distill(
    name: str,
    parameters: int,
    shape: tuple[int, int, int, int],
    intermediate: int,
    vocabulary: int,
    licence: str,
) -> Network:
    """shape: layers, hidden, heads, kv_heads."""
    layers, hidden, heads, kv_heads = shape
    return Network(
        name=f"DeepSeek-R1-Distill-{name}",
        repository=f"deepseek-ai/DeepSeek-R1-Distill-{name}",
        parameters=parameters,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        intermediate=intermediate,
        vocabulary=vocabulary,
        context=131_072,
        licence=licence,
    )


_QWEN = "MIT; base Apache-2.0"
QWEN_1_5B = _distill("Qwen-1.5B", 1_777_000_000, (28, 1536, 12, 2), 8960, 151_936, _QWEN)
QWEN_7B = _distill("Qwen-7B", 7_616_000_000, (28, 3584, 28, 4), 18_944, 152_064, _QWEN)
QWEN_14B = _distill("Qwen-14B", 14_770_000_000, (48, 5120, 40, 8), 13_824, 152_064, _QWEN)
QWEN_32B = _distill("Qwen-32B", 32_760_000_000, (64, 5120, 40, 8), 27_648, 152_064, _QWEN)
LLAMA_8B = _distill(
    "Llama-8B", 8_030_000_000, (32, 4096, 32, 8), 14_336, 128_256, "MIT; base Llama 3.1"
)
LLAMA_70B = _distill(
    "Llama-70B", 70_550_000_000, (80, 8192, 64, 8), 28_672, 128_256, "MIT; base Llama 3.3"
)
QWEN_72B = Network(
    name="Qwen2.5-72B-Instruct",
    repository="Qwen/Qwen2.5-72B-Instruct",
    parameters=72_706_000_000,
    layers=80,
    hidden=8192,
    heads=64,
    kv_heads=8,
    intermediate=29_568,
    vocabulary=152_064,
    context=32_768,
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
    intermediate=19_200,
    vocabulary=32_256,
    context=16_384,
    licence="DeepSeek Model License",
)
