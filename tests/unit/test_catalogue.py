"""The catalogue: patterns select one variant each, and the figures fit together."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from deploys.planning.catalogue import CATALOGUE, model
from deploys.planning.model import Model
from deploys.planning.refusal import Refusal

EVERY = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE.keys())


def _shards(name: str, count: int) -> list[str]:
    return [f"{name}/{name}-{index:05}-of-{count:05}.gguf" for index in range(1, count + 1)]


# Like unsloth/DeepSeek-R1-GGUF: many quantizations of one model, and R1-Zero among them.
R1_VARIANTS = {
    "deepseek-r1-q4_k_m": _shards("DeepSeek-R1-Q4_K_M", 9),
    "deepseek-r1-ud-iq1_s": _shards("DeepSeek-R1-UD-IQ1_S", 3),
    "deepseek-r1-ud-iq1_m": _shards("DeepSeek-R1-UD-IQ1_M", 4),
    "deepseek-r1-ud-iq2_xxs": _shards("DeepSeek-R1-UD-IQ2_XXS", 4),
    "deepseek-r1-ud-q2_k_xl": _shards("DeepSeek-R1-UD-Q2_K_XL", 5),
}
R1_LISTING = [
    ".gitattributes",
    "README.md",
    "config.json",
    "DeepSeek-R1-BF16/DeepSeek-R1.BF16-00001-of-00030.gguf",
    *(file for shards in R1_VARIANTS.values() for file in shards),
    *_shards("DeepSeek-R1-Q2_K", 5),
    *_shards("DeepSeek-R1-Q2_K_L", 5),
    *_shards("DeepSeek-R1-Q8_0", 15),
    *_shards("DeepSeek-R1-Zero-Q4_K_M", 9),
    *_shards("DeepSeek-R1-Zero-UD-IQ1_S", 3),
]


def _selected(entry: Model, listing: list[str]) -> list[str]:
    return [file for file in listing if any(fnmatchcase(file, pattern) for pattern in entry.files)]


def _kv_bytes_per_token(entry: Model) -> int:
    """Two bytes a number; one latent vector a layer for MLA, else keys and values of every head."""
    if entry.kv_lora_rank is not None and entry.rope_head_dim is not None:
        return entry.layers * (entry.kv_lora_rank + entry.rope_head_dim) * 2
    return 2 * entry.layers * entry.kv_heads * entry.head_dim * 2


@pytest.mark.parametrize("key", R1_VARIANTS)
def test_r1_gguf_patterns_select_exactly_one_variant(key: str) -> None:
    assert _selected(model(key), R1_LISTING) == R1_VARIANTS[key]


def test_every_r1_gguf_variant_is_tested() -> None:
    repository = "unsloth/DeepSeek-R1-GGUF"
    keys = {entry.key for entry in CATALOGUE.values() if entry.huggingface == repository}
    assert keys == set(R1_VARIANTS)


@pytest.mark.parametrize(
    "key",
    [key for key, entry in CATALOGUE.items() if entry.format == "gguf" and key not in R1_VARIANTS],
)
def test_distill_gguf_patterns_select_one_file(key: str) -> None:
    title = model(key).title.rsplit(" ", 1)[0]
    quantizations = ("F16", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q8_0", "UD-Q4_K_M", "Q4_K_M_L")
    listing = ["README.md", "config.json", *(f"{title}-{name}.gguf" for name in quantizations)]
    assert _selected(model(key), listing) == [f"{title}-Q4_K_M.gguf"]


def test_safetensors_patterns_take_what_an_engine_reads_and_nothing_twice() -> None:
    read = [
        "config.json",
        "configuration_deepseek.py",
        "generation_config.json",
        "merges.txt",
        "model-00001-of-00007.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    ]
    ignored = [
        ".gitattributes",
        "README.md",
        "figures/benchmark.jpg",
        "pytorch_model-00001-of-00007.bin",
    ]
    assert _selected(model("deepseek-coder-33b-instruct"), read + ignored) == read


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("deepseek-r1-distill-qwen-1.5b", 28_672),
        ("deepseek-r1-distill-qwen-7b", 57_344),
        ("deepseek-r1-distill-llama-8b", 131_072),
        ("deepseek-r1-distill-qwen-14b", 196_608),
        ("deepseek-r1-distill-qwen-32b", 262_144),
        ("deepseek-r1-distill-llama-70b", 327_680),
        ("qwen2.5-72b-instruct", 327_680),
        ("deepseek-r1", 70_272),
        ("deepseek-v3", 70_272),
    ],
)
def test_kv_cache_of_a_token(key: str, expected: int) -> None:
    variants = [entry for name, entry in CATALOGUE.items() if f"{name}-".startswith(f"{key}-")]
    assert {_kv_bytes_per_token(entry) for entry in variants if "distill" not in entry.key} | {
        _kv_bytes_per_token(model(key))
    } == {expected}


@EVERY
def test_the_key_is_a_folder_name(entry: Model) -> None:
    assert CATALOGUE[entry.key] is entry
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", entry.key)


@EVERY
def test_an_entry_can_be_fetched_from_a_hub(entry: Model) -> None:
    repositories = [name for name in (entry.modelscope, entry.huggingface) if name is not None]
    assert repositories
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+", name) for name in repositories)
    assert entry.files


@EVERY
def test_size_fits_parameters_and_quantization(entry: Model) -> None:
    bits = {
        "BF16": (15.5, 16.5),
        "FP8": (8, 9.2),
        "AWQ": (4, 5.5),
        "Q4_K_M": (4.5, 5.5),
        "UD-IQ1_S": (1.5, 1.8),
        "UD-IQ1_M": (1.8, 2.2),
        "UD-IQ2_XXS": (2.2, 2.6),
        "UD-Q2_K_XL": (2.5, 3),
    }
    low, high = bits[entry.quantization]
    assert low <= entry.size * 8 / entry.parameters <= high


@EVERY
def test_the_network_is_described_whole(entry: Model) -> None:
    assert entry.heads % entry.kv_heads == 0
    assert (entry.kv_lora_rank is None) == (entry.rope_head_dim is None)
    assert entry.active_parameters is None or entry.active_parameters < entry.parameters
    assert entry.context >= 16_384
    assert entry.licence and entry.source and entry.title


@EVERY
def test_nothing_counts_as_confirmed_without_a_pinned_revision(entry: Model) -> None:
    assert not entry.confirmed or entry.revision != "master"


def test_an_unknown_key_is_refused_with_the_closest_ones() -> None:
    with pytest.raises(Refusal, match="deepseek-r1-awq") as refusal:
        model("deepseek-r1-awk")
    assert "catalogue.py" in refusal.value.way_out


def test_a_key_that_resembles_nothing_is_refused_without_a_guess() -> None:
    with pytest.raises(Refusal) as refusal:
        model("###")
    assert "did you mean" not in refusal.value.reason
