"""Mixture-of-experts networks of the catalogue."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.models.shapes import Network

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
    head_dim=128,
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
    dialect="deepseek-r1",
    licence="MIT",
)
# The vendor's own files hold the layer that predicts one token more; quantizations left it out.
R1_FP8 = replace(R1, mtp_layers=1)
R1_0528 = replace(
    R1_FP8,
    name="DeepSeek-R1-0528",
    repository="deepseek-ai/DeepSeek-R1-0528",
    dialect="deepseek-r1-0528",
)
V3 = replace(
    R1_FP8,
    name="DeepSeek-V3",
    repository="deepseek-ai/DeepSeek-V3",
    dialect="deepseek-v3",
    licence="DeepSeek Model License",
)
V3_1 = replace(
    R1_FP8,
    name="DeepSeek-V3.1",
    repository="deepseek-ai/DeepSeek-V3.1",
    dialect="deepseek-v3.1",
)
V3_2 = replace(
    R1_FP8,
    name="DeepSeek-V3.2",
    repository="deepseek-ai/DeepSeek-V3.2",
    index_head_dim=128,
    index_heads=64,
    dialect="deepseek-v3.2",
)
KIMI_K2 = replace(
    R1,
    name="Kimi-K2-Instruct",
    repository="moonshotai/Kimi-K2-Instruct",
    parameters=1_026_408_000_000,
    active_parameters=32_000_000_000,
    heads=64,
    kv_heads=64,
    vocabulary=163_840,
    experts=384,
    dense_layers=1,
    context=131_072,
    dialect="kimi-k2",
    licence="Modified MIT",
)
KIMI_K2_THINKING = replace(
    KIMI_K2,
    name="Kimi-K2-Thinking",
    repository="moonshotai/Kimi-K2-Thinking",
    context=262_144,
    dialect="kimi-k2-thinking",
)
KIMI_K2_5 = replace(
    KIMI_K2_THINKING, name="Kimi-K2.5", repository="moonshotai/Kimi-K2.5", images=True
)
KIMI_K2_6 = replace(KIMI_K2_5, name="Kimi-K2.6", repository="moonshotai/Kimi-K2.6")
KIMI_K2_7_CODE = replace(KIMI_K2_5, name="Kimi-K2.7-Code", repository="moonshotai/Kimi-K2.7-Code")
QWEN_3_30B = Network(
    name="Qwen3-30B-A3B-Instruct-2507",
    repository="Qwen/Qwen3-30B-A3B-Instruct-2507",
    parameters=30_530_000_000,
    active_parameters=3_300_000_000,
    layers=48,
    hidden=2048,
    heads=32,
    kv_heads=4,
    head_dim=128,
    vocabulary=151_936,
    intermediate=6144,
    experts=128,
    experts_used=8,
    expert_intermediate=768,
    context=262_144,
    dialect="qwen3-instruct",
    licence="Apache-2.0",
)
QWEN_3_235B = replace(
    QWEN_3_30B,
    name="Qwen3-235B-A22B-Instruct-2507",
    repository="Qwen/Qwen3-235B-A22B-Instruct-2507",
    parameters=235_000_000_000,
    active_parameters=22_000_000_000,
    layers=94,
    hidden=4096,
    heads=64,
    intermediate=12_288,
    expert_intermediate=1536,
)
QWEN_3_CODER_30B = replace(
    QWEN_3_30B,
    name="Qwen3-Coder-30B-A3B-Instruct",
    repository="Qwen/Qwen3-Coder-30B-A3B-Instruct",
    intermediate=5472,
    dialect="qwen3-coder",
)
QWEN_3_CODER_480B = replace(
    QWEN_3_CODER_30B,
    name="Qwen3-Coder-480B-A35B-Instruct",
    repository="Qwen/Qwen3-Coder-480B-A35B-Instruct",
    parameters=480_000_000_000,
    active_parameters=35_000_000_000,
    layers=62,
    hidden=6144,
    heads=96,
    kv_heads=8,
    intermediate=8192,
    experts=160,
    expert_intermediate=2560,
)
QWEN_3_VL_30B = replace(
    QWEN_3_30B,
    name="Qwen3-VL-30B-A3B-Instruct",
    repository="Qwen/Qwen3-VL-30B-A3B-Instruct",
    parameters=31_071_000_000,
    images=True,
)
QWEN_3_VL_235B = replace(
    QWEN_3_235B,
    name="Qwen3-VL-235B-A22B-Instruct",
    repository="Qwen/Qwen3-VL-235B-A22B-Instruct",
    images=True,
)
# Every second layer looks back 128 tokens.
GPT_OSS_120B = Network(
    name="gpt-oss-120b",
    repository="openai/gpt-oss-120b",
    modelscope="openai-mirror/gpt-oss-120b",
    parameters=116_830_000_000,
    active_parameters=5_130_000_000,
    layers=36,
    hidden=2880,
    heads=64,
    kv_heads=8,
    head_dim=64,
    full_attention_interval=2,
    sliding_window=128,
    vocabulary=201_088,
    intermediate=2880,
    experts=128,
    experts_used=4,
    expert_intermediate=2880,
    context=131_072,
    dialect="gpt-oss",
    licence="Apache-2.0",
)
GPT_OSS_20B = replace(
    GPT_OSS_120B,
    name="gpt-oss-20b",
    repository="openai/gpt-oss-20b",
    modelscope="openai-mirror/gpt-oss-20b",
    parameters=20_910_000_000,
    active_parameters=3_610_000_000,
    layers=24,
    experts=32,
)
# All layers have experts, and none has a dense part; there are no shared experts. The layers that
# predict further tokens are not among the files.
MINIMAX_M2 = Network(
    name="MiniMax-M2",
    repository="MiniMaxAI/MiniMax-M2",
    modelscope="MiniMax/MiniMax-M2",
    parameters=228_700_000_000,
    active_parameters=10_000_000_000,
    layers=62,
    hidden=3072,
    heads=48,
    kv_heads=8,
    head_dim=128,
    vocabulary=200_064,
    intermediate=1536,
    experts=256,
    experts_used=8,
    expert_intermediate=1536,
    context=196_608,
    dialect="minimax-m2",
    licence="Modified MIT",
)
MINIMAX_M2_5 = replace(
    MINIMAX_M2,
    name="MiniMax-M2.5",
    repository="MiniMaxAI/MiniMax-M2.5",
    modelscope="MiniMax/MiniMax-M2.5",
)
MINIMAX_M2_7 = replace(
    MINIMAX_M2,
    name="MiniMax-M2.7",
    repository="MiniMaxAI/MiniMax-M2.7",
    modelscope="MiniMax/MiniMax-M2.7",
    context=204_800,
)
MINIMAX_M3 = Network(
    name="MiniMax-M3",
    repository="MiniMaxAI/MiniMax-M3",
    modelscope="MiniMax/MiniMax-M3",
    parameters=427_000_000_000,
    active_parameters=26_000_000_000,
    layers=60,
    hidden=6144,
    heads=64,
    kv_heads=4,
    head_dim=128,
    index_head_dim=128,
    index_heads=4,
    index_layers=tuple(range(3, 60)),
    vocabulary=200_064,
    intermediate=12_288,
    experts=128,
    experts_used=4,
    shared_experts=1,
    expert_intermediate=3072,
    dense_layers=3,
    context=1_048_576,
    dialect="minimax-m3",
    images=True,
    licence="unknown, see its repository",
)
# Three of four layers look back within a chunk of 8,192 tokens.
LLAMA_4_SCOUT = Network(
    name="Llama-4-Scout-17B-16E-Instruct",
    # This one asks for a token of an account that has accepted the licence.
    repository="meta-llama/Llama-4-Scout-17B-16E-Instruct",
    modelscope="LLM-Research/Llama-4-Scout-17B-16E-Instruct",
    parameters=109_000_000_000,
    active_parameters=17_000_000_000,
    layers=48,
    hidden=5120,
    heads=40,
    kv_heads=8,
    head_dim=128,
    full_attention_interval=4,
    sliding_window=8192,
    vocabulary=202_048,
    intermediate=16_384,
    experts=16,
    experts_used=1,
    shared_experts=1,
    expert_intermediate=8192,
    context=10_485_760,
    dialect="llama-4",
    images=True,
    licence="Llama 4",
)
