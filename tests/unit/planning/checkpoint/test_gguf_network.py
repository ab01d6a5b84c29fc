"""Networks out of the metadata of GGUF files: the same as out of their config.json."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.planning.checkpoint import architectures
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.gguf_network import keeps_all_heads, network
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.shapes import Network
from tests.unit.planning.checkpoint.checkpoints import config

# Values as llama.cpp's converter writes them of the config.json of the same name; parameters and
# tensors of a head or of MLA, as reading a header adds them.
TENSORS = {"tensors.output": 1, "tensors.attn_k_b": 0}
DEEPSEEK = {
    **{"block_count": 61, "context_length": 163_840, "embedding_length": 7168},
    **{"feed_forward_length": 18_432, "vocab_size": 129_280, "leading_dense_block_count": 3},
    **{"attention.head_count": 128, "attention.head_count_kv": 1, "rope.dimension_count": 64},
    **{"attention.key_length": 576, "attention.value_length": 512},
    **{"attention.key_length_mla": 192, "attention.value_length_mla": 128},
    **{"attention.kv_lora_rank": 512, "attention.q_lora_rank": 1536},
    **{"expert_count": 256, "expert_used_count": 8, "expert_shared_count": 1},
    "expert_feed_forward_length": 2048,
}
BEFORE_APRIL = {
    **{key: value for key, value in DEEPSEEK.items() if "_mla" not in key},
    **{"attention.head_count_kv": 128, "attention.key_length": 192, "attention.value_length": 128},
}
QWEN_HYBRID = {
    **{"block_count": 40, "context_length": 262_144, "embedding_length": 2048},
    **{"attention.head_count": 16, "attention.head_count_kv": 2, "full_attention_interval": 4},
    **{"attention.key_length": 256, "attention.value_length": 256, "expert_count": 256},
    **{"expert_used_count": 8, "expert_feed_forward_length": 512},
    **{"expert_shared_feed_forward_length": 512, "ssm.conv_kernel": 4, "ssm.inner_size": 4096},
    **{"ssm.state_size": 128, "ssm.time_step_rank": 32, "ssm.group_count": 16},
}
GPT_OSS = {
    **{"block_count": 24, "context_length": 131_072, "embedding_length": 2880},
    **{"attention.head_count": 64, "attention.head_count_kv": 8, "attention.key_length": 64},
    **{"attention.value_length": 64, "attention.sliding_window": 128, "expert_count": 32},
    **{"expert_used_count": 4, "feed_forward_length": 2880, "expert_feed_forward_length": 2880},
}
QWEN_3 = {
    **{"block_count": 64, "context_length": 40_960, "embedding_length": 5120},
    **{"attention.head_count": 64, "attention.head_count_kv": 8, "attention.key_length": 128},
    **{"attention.value_length": 128, "feed_forward_length": 25_600},
}
PATTERN = [True] * 5 + [False]
GEMMA_4 = {
    **{"block_count": 60, "context_length": 262_144, "embedding_length": 5376},
    **{"attention.head_count": 32, "attention.sliding_window": 1024, "feed_forward_length": 21_504},
    **{"attention.key_length": 512, "attention.value_length": 512},
    **{"attention.key_length_swa": 256, "attention.value_length_swa": 256},
    **{"attention.shared_kv_layers": 0, "embedding_length_per_layer_input": 0},
    "attention.sliding_window_pattern": {"length": 60, "values": PATTERN * 10},
    "attention.head_count_kv": {"length": 60, "values": [16 if one else 4 for one in PATTERN] * 10},
}


def head(
    architecture: str, keys: dict[str, Any], tokens: int, parameters: int, **more: Any
) -> dict[str, Any]:
    return {
        "general.architecture": architecture,
        **{f"{architecture}.{key}": value for key, value in keys.items()},
        "tokenizer.ggml.tokens": {"length": tokens},
        "tensors.parameters": parameters,
        **TENSORS,
        **more,
    }


def of(*parts: dict[str, Any]) -> Network:
    return network(Documents(gguf={f"{at}.gguf": part for at, part in enumerate(parts)}), "it")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("deepseek-ai--DeepSeek-V3.1", head("deepseek2", DEEPSEEK, 129_280, 671_026_404_352)),
        ("deepseek-ai--DeepSeek-V3.1", head("deepseek2", BEFORE_APRIL, 129_280, 671_026_404_352)),
        ("Qwen--Qwen3.6-35B-A3B", head("qwen35moe", QWEN_HYBRID, 248_320, 34_660_610_688)),
        ("openai--gpt-oss-20b", head("gpt-oss", GPT_OSS, 201_088, 20_914_757_184)),
        ("Qwen--Qwen3-32B", head("qwen3", QWEN_3, 151_936, 32_762_123_264)),
        (
            "google--gemma-4-31B-it",
            head("gemma4", GEMMA_4, 262_144, 30_697_345_596, **{"tensors.output": 0}),
        ),
    ],
)
def test_it_is_the_network_of_its_configuration(name: str, file: dict[str, Any]) -> None:
    said = architectures.network(Documents(json={"config.json": config(name)}), "it")
    made = of(file)
    # What is in other files: that which looks at images, and predicts further tokens.
    apart = ("parameters", "images", "mtp_layers", "dialect", "active_parameters")
    for field in Network.__dataclass_fields__:
        if field not in apart:
            assert getattr(made, field) == getattr(said, field), field
    assert made.parameters == file["tensors.parameters"] and made.mtp_layers == 0


def test_files_from_before_april_2025_keep_the_keys_and_values_of_all_heads() -> None:
    def legacy(keys: dict[str, Any], **more: Any) -> bool:
        file = head("deepseek2", keys, 129_280, 671_026_404_352, **more)
        return keeps_all_heads(Documents(gguf={"a.gguf": file}))

    assert not legacy(DEEPSEEK)
    assert legacy(BEFORE_APRIL)
    # Some were converted anew, with the matrix and without the keys.
    assert not legacy(BEFORE_APRIL, **{"tensors.attn_k_b": 61})
    other = head("qwen3", QWEN_3, 151_936, 32_762_123_264)
    assert not keeps_all_heads(Documents(gguf={"a.gguf": other}))


def test_parts_of_a_file_are_one_network() -> None:
    first = head("qwen3", QWEN_3, 151_936, 30_000_000_000, **{"tensors.output": 0})
    second = {"split.no": 1, **TENSORS, "tensors.parameters": 2_762_123_264}
    made = of(first, second)
    assert made.parameters == 32_762_123_264 and not made.tied_embeddings
    with pytest.raises(Refusal, match="tells nothing of its tensors"):
        of(first, {"split.no": 1})


def test_a_projector_beside_it_is_no_part_of_it() -> None:
    model = head("qwen3", QWEN_3, 151_936, 32_762_123_264)
    projector = {"general.architecture": "clip", **TENSORS, "tensors.parameters": 600_000_000}
    made = of(projector, model)
    assert made.images and made.parameters == 32_762_123_264


@pytest.mark.parametrize(
    ("file", "unknown"),
    [
        (head("mamba2", {}, 1, 1), "the architecture 'mamba2' is unknown"),
        (head("qwen3", QWEN_3 | {"block_count": "x"}, 151_936, 1), "qwen3.block_count is 'x'"),
        (head("qwen3", QWEN_3, 151_936, 8_000_000_000), "8,000,000,000 parameters"),
        (
            head("gemma4", GEMMA_4 | {"attention.head_count_kv": {"length": 60}}, 262_144, 1),
            "gemma4.attention.head_count_kv is {}",
        ),
        ({}, "names no architecture"),
    ],
)
def test_what_is_unknown_is_refused(file: dict[str, Any], unknown: str) -> None:
    with pytest.raises(Refusal) as caught:
        of(file)
    assert unknown in caught.value.reason and "network=Network(" in caught.value.hint
