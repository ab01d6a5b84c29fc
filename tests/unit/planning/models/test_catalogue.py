"""The catalogue: patterns select one variant each, and the figures fit together."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from itertools import chain, groupby
from typing import Any

import pytest
import yaml

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.cache import caches_every_token, kv_bytes
from deploys.planning.models.catalogue import CATALOGUE, model
from deploys.planning.models.model import Model
from deploys.planning.models.network import parts
from deploys.planning.models.parameters import parameter_count
from tests.unit import UNIT

EVERY = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE.keys())
LISTINGS = yaml.safe_load((UNIT / "data" / "listings.yaml").read_text())
EVERY_SELECTION = pytest.mark.parametrize(
    ("key", "listing"),
    [(key, listing) for listing in LISTINGS for key in listing["selects"]],
    ids=lambda value: value if isinstance(value, str) else value["repository"],
)


def files(names: list[str]) -> list[str]:
    """All files that the names of a listing stand for."""
    found = []
    for name in names:
        count = int(name.split("-of-")[1][:5]) if "#####" in name else 1
        found += [name.replace("#####", f"{number:05}") for number in range(1, count + 1)]
    return found


def selected(entry: Model, listing: list[str]) -> list[str]:
    return [file for file in listing if any(fnmatchcase(file, pattern) for pattern in entry.files)]


def name_of(entry: Model) -> str:
    return entry.network.name


@EVERY_SELECTION
def test_patterns_select_exactly_one_variant(key: str, listing: dict[str, Any]) -> None:
    entry = model(key)
    assert listing["repository"] == entry.huggingface
    own = files(listing["selects"][key])
    beside = [files(other) for name, other in listing["selects"].items() if name != key]
    everything = [*own, *chain(*beside), *files(listing["others"])]
    assert selected(entry, everything) == own


def test_every_pattern_of_a_gguf_is_tested() -> None:
    listed = {key for listing in LISTINGS for key in listing["selects"]}
    assert {key for key, entry in CATALOGUE.items() if entry.format == "gguf"} <= listed
    assert {entry.files for entry in CATALOGUE.values()} == {model(key).files for key in listed}


def test_no_two_entries_mean_the_same_files() -> None:
    for hub in ("huggingface", "modelscope"):
        meant = [(getattr(entry, hub), entry.files) for entry in CATALOGUE.values()]
        published = [each for each in meant if each[0] is not None]
        assert len(set(published)) == len(published)


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
        ("kimi-k2-instruct", 70_272),
        ("qwen3-32b", 262_144),
        ("qwen3.6-27b", 65_536),  # 16 layers of four heads of 256
        ("qwen3.6-35b-a3b", 20_480),  # 10 layers of two
        ("gpt-oss-120b", 36_864),  # 18 layers of eight heads of 64
        ("deepseek-r1-0528", 70_272),
        ("deepseek-v3.1", 70_272),
        ("kimi-k2.6", 70_272),
        ("qwen3-next-80b-a3b-instruct", 24_576),  # 12 layers of two heads of 256
        ("qwen3.5-122b-a10b", 24_576),
        ("qwen3.5-397b-a17b", 30_720),
        ("glm-4.7-flash", 54_144),  # 47 layers of one latent vector
        ("minimax-m2.7", 253_952),
    ],
)
def test_kv_cache_of_a_token(key: str, expected: int) -> None:
    entry = model(key)
    variants = [other for other in CATALOGUE.values() if name_of(other) == name_of(entry)]
    of_a_token = {
        kv_bytes(other)
        * sum(caches_every_token(other.network, layer) for layer in range(other.network.layers))
        for other in variants
        if not other.legacy_cache
    }
    assert of_a_token == {expected}


@EVERY
def test_the_key_is_a_folder_name(entry: Model) -> None:
    assert CATALOGUE[entry.key] is entry
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", entry.key)
    assert entry.key.startswith(name_of(entry).lower())


def test_variants_of_a_network_stand_together_the_largest_first() -> None:
    names = [name for name, _ in groupby(CATALOGUE.values(), name_of)]
    assert len(set(names)) == len(names)
    for _, variants in groupby(CATALOGUE.values(), name_of):
        sizes = [entry.size for entry in variants]
        assert sizes == sorted(sizes, reverse=True), "the largest variant of a network comes first"


@EVERY
def test_an_entry_can_be_fetched_from_a_hub(entry: Model) -> None:
    repositories = [name for name in (entry.modelscope, entry.huggingface) if name is not None]
    assert repositories
    for repository in repositories:
        # What both hubs allow: owner and name, neither of which begins or ends with a sign.
        assert re.fullmatch(r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?/\w(?:[\w.-]{0,94}\w)?", repository)
        assert "--" not in repository and ".." not in repository
    # Two hubs have the same thing under one name, whoever owns it.
    assert len({name.split("/")[1].lower() for name in repositories}) == 1
    assert entry.files


@EVERY
def test_size_fits_parameters_and_quantization(entry: Model) -> None:
    """Bits of a weight outside of the embeddings and the head; GGUF makes these smaller, too."""
    bits = {
        "F32": (31.5, 33.5),
        "BF16": (15.5, 16.8),
        "Q8_0": (8.4, 8.8),
        "FP8": (7.75, 8.5),
        "AWQ": (4.1, 4.4),
        "GPTQ": (4.1, 4.4),
        "MXFP4": (4.25, 4.8),
        "FP8-MXFP4": (4.25, 4.8),
        "MXFP8": (8.2, 8.5),
        "INT4": (4.5, 4.7),
        "Q4_K_M": (4.6, 5.3),
        "UD-Q4_K_M": (4.8, 5.3),
        "UD-Q4_K_XL": (4.8, 5.4),
        "UD-IQ1_S": (1.5, 1.8),
        "UD-IQ1_M": (1.8, 2.2),
        "UD-IQ2_XXS": (2.2, 2.6),
        "UD-Q2_K_XL": (2.5, 3),
    }
    # Attention, and images, of these are not in 4 bits; what sees images is a large part of small
    # ones; Unsloth's dynamic quantizations have grown since January 2025.
    mixed = {
        "qwen3.6-27b-awq": (5.5, 6),
        "qwen3.6-35b-a3b-awq": (5.2, 5.6),
        "qwen3-vl-8b-instruct": (17.2, 17.5),
        "qwen3-vl-8b-instruct-fp8": (9.2, 9.5),
        "deepseek-r1-0528-ud-iq1_s": (2.1, 2.3),
        "deepseek-v3.1-ud-q2_k_xl": (3, 3.1),
    }
    # Their places are a matrix of their own, in 32 bits.
    mixed |= dict.fromkeys(("bge-m3-q8_0", "bge-reranker-v2-m3-q8_0"), (9, 9.4))
    low, high = mixed.get(entry.key, bits[entry.quantization])
    split = parts(entry, entry.size)
    outer = (entry.network.vocabulary or 0) * entry.network.hidden
    outer *= 1 if entry.network.tied_embeddings else 2
    inner = entry.size - split.embedding - split.head
    # The layers of multi-token prediction that come with some files are as large as the last one.
    layer = (parameter_count(entry.network) - outer) / entry.network.layers
    weights = parameter_count(entry.network) - outer + layer * entry.network.mtp_layers
    found = inner * 8 / weights
    assert low <= found <= high, (
        f"{entry.key} has {found:.2f} bits a weight, and {entry.quantization} {low} to {high}:"
        " compare its size with the hub, and its network with config.json"
    )


@EVERY
def test_the_network_is_described_whole(entry: Model) -> None:
    assert entry.network.heads % entry.network.kv_heads == 0
    assert entry.network.vocabulary is not None and entry.network.intermediate is not None
    assert (entry.network.kv_lora_rank is None) == (entry.network.rope_head_dim is None)
    assert (entry.network.index_head_dim is None) == (entry.network.index_heads == 0)
    assert (entry.network.experts > 0) == (entry.network.active_parameters is not None)
    assert entry.network.experts_used <= entry.network.experts
    assert entry.network.context >= (16_384 if entry.network.task == "generate" else 8192)
    assert (
        entry.network.licence
        and entry.source
        and entry.title == f"{entry.network.name} {entry.quantization}"
    )
    # Layers that do not keep every token keep a window or a state, and never both.
    kinds = (entry.network.sliding_window is not None) + (entry.network.linear_value_heads > 0)
    several = entry.network.full_attention_interval > 1
    several |= entry.network.full_attention_layers is not None
    assert kinds == (several or entry.network.compressed is not None)
    assert (entry.network.linear_value_heads > 0) == (
        entry.network.linear_key_heads * entry.network.linear_head_dim > 0
    )
    assert entry.network.layers % entry.network.full_attention_interval == 0


@EVERY
def test_experts_multiply_out_to_the_weights_that_a_token_passes_through(entry: Model) -> None:
    if entry.network.active_parameters is None:
        return
    width = entry.network.expert_hidden or entry.network.hidden
    routed = entry.network.experts * 3 * width * entry.network.expert_intermediate
    unused = (
        routed
        * (entry.network.layers - entry.network.dense_layers)
        * (1 - entry.network.experts_used / entry.network.experts)
    )
    # Some vendors count the embeddings, some do not; most round to billions.
    embeddings = 2 * (entry.network.vocabulary or 0) * entry.network.hidden
    with_them = parameter_count(entry.network) - unused
    without = with_them - embeddings
    assert without * 0.97 - 5e8 <= entry.network.active_parameters <= with_them * 1.03 + 5e8


@EVERY
def test_nothing_counts_as_confirmed_without_a_pinned_revision(entry: Model) -> None:
    assert not entry.confirmed or entry.revision != "master"


def test_an_unknown_key_is_refused_with_the_closest_ones() -> None:
    with pytest.raises(Refusal, match="deepseek-r1-awq") as refusal:
        model("deepseek-r1-awk")
    assert "models/entries" in refusal.value.hint


def test_a_key_that_resembles_nothing_is_refused_without_a_guess() -> None:
    with pytest.raises(Refusal) as refusal:
        model("###")
    assert "did you mean" not in refusal.value.reason
