"""The catalogue's figures and those of the vendors' config.json, wherever one is at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import pytest

from deploys.planning.checkpoint import architectures
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.shapes import Network
from tests.unit import UNIT

FOLDER = UNIT / "planning" / "checkpoint" / "configs"
DOCUMENTS = {path.stem.replace("--", "/", 1): path for path in sorted(FOLDER.glob("*.json"))}
NETWORKS = {entry.huggingface: entry.network for entry in CATALOGUE.values()}
KNOWN = sorted(DOCUMENTS.keys() & NETWORKS.keys() - {None})
# What a configuration alone does not say, or what rounds it.
NOT_IN_SHAPE = {
    *("name", "repository", "modelscope", "parameters", "active_parameters"),
    *("dialect", "task", "verdict", "licence"),
}
# Seen among the files, but not in config.json: Qwen3-Next's layer of multi-token prediction, and
# that no layer is dense; MiniMax-M3 has none of the layers that it describes; the copy of
# GLM-4.7-FP8 at hand is abridged.
UNSAID = {
    "GLM-4.7-FP8": {"mtp_layers"},
    "Qwen3-Next-80B-A3B-Instruct": {"mtp_layers", "intermediate"},
    "Qwen3-Next-80B-A3B-Thinking": {"mtp_layers", "intermediate"},
    "MiniMax-M3": {"mtp_layers"},
}

# Our field, what it is called in config.json, and how it is counted there where that differs.
NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("layers", ("num_hidden_layers",)),
    ("hidden", ("hidden_size",)),
    ("heads", ("num_attention_heads",)),
    ("kv_heads", ("num_key_value_heads",)),
    ("kv_lora_rank", ("kv_lora_rank",)),
    ("rope_head_dim", ("qk_rope_head_dim",)),
    ("q_lora_rank", ("q_lora_rank",)),
    ("index_head_dim", ("index_head_dim",)),
    ("index_heads", ("index_n_heads",)),
    ("full_attention_interval", ("full_attention_interval",)),
    ("linear_key_heads", ("linear_num_key_heads",)),
    ("linear_value_heads", ("linear_num_value_heads",)),
    ("linear_head_dim", ("linear_key_head_dim",)),
    ("linear_head_dim", ("linear_value_head_dim",)),
    ("gated_attention", ("attn_output_gate",)),
    ("vocabulary", ("vocab_size",)),
    ("tied_embeddings", ("tie_word_embeddings",)),
    ("experts", ("num_experts", "n_routed_experts", "num_local_experts")),
    ("experts_used", ("num_experts_per_tok", "num_experts_per_token")),
    ("shared_experts", ("n_shared_experts", "num_shared_experts")),
    ("dense_layers", ("first_k_dense_replace",)),
    ("context", ("max_position_embeddings",)),
)
DERIVED: tuple[Callable[[Network], tuple[str, int | None]], ...] = (
    lambda network: ("qk_nope_head_dim", network.nope_head_dim or network.head_dim),
    lambda network: ("v_head_dim", network.v_head_dim or network.head_dim),
)


def text(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part about the language; what stands beside it is of the whole checkpoint."""
    return {**document, **document.get("text_config", {})}


def first(config: Mapping[str, Any], *names: str) -> Any:
    return next((config[name] for name in names if config.get(name) is not None), None)


def ratios(config: Mapping[str, Any]) -> tuple[int, ...]:
    """0 there is a layer with the window alone; those of multi-token prediction come last."""
    return tuple(ratio or 1 for ratio in config["compress_ratios"][: config["num_hidden_layers"]])


def described(network: Network, config: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What the configuration says, with ours, by its name there."""
    said: dict[str, tuple[Any, Any]] = {}
    for ours, names in NAMES:
        theirs = first(config, *names)
        if theirs is not None:
            said[names[0]] = (getattr(network, ours), theirs)
    for derive in DERIVED:
        name, value = derive(network)
        if network.kv_lora_rank is not None and config.get(name) is not None:
            said[name] = (value, config[name])
    if network.compressed is not None:
        said["compress_ratios"] = (network.compressed.ratios, ratios(config))
        # It counts the vector that all heads share; we count what is made of it.
        del said["num_key_value_heads"]
    elif network.window_head_dim is not None:
        # The other layers have names of their own there.
        said["num_key_value_heads"] = (network.window_kv_heads, config["num_key_value_heads"])
        said["head_dim"] = (network.window_head_dim, config["head_dim"])
        said["global"] = (network.kv_heads, config["num_global_key_value_heads"])
        said["global_head_dim"] = (network.head_dim, config["global_head_dim"])
    elif network.kv_lora_rank is None:
        split = config["hidden_size"] // config["num_attention_heads"]
        said["head_dim"] = (network.head_dim, config.get("head_dim") or split)
    if network.task == "embed":
        # There is no output head to be tied.
        said.pop("tie_word_embeddings", None)
    if not network.causal:
        # Its first two places are for padding.
        said["max_position_embeddings"] = (network.context + 2, config["max_position_embeddings"])
    said["images"] = (network.images, "vision_config" in config)
    if network.experts:
        width = first(config, "moe_intermediate_size", "intermediate_size")
        said["moe_intermediate_size"] = (network.expert_intermediate, width)
    # Where no layer is dense, and with two widths, our figure has no part in sizing.
    elif config.get("intermediate_size"):
        said["intermediate_size"] = (network.intermediate, config["intermediate_size"])
    if "linear_attn_config" in config:
        counted = tuple(layer - 1 for layer in config["linear_attn_config"]["full_attn_layers"])
        said["full_attn_layers"] = (network.full_attention_layers, counted)
    kinds = config.get("layer_types")
    if kinds and len(set(kinds)) > 1:
        every = network.full_attention_interval
        wanted = [(layer + 1) % every == 0 for layer in range(network.layers)]
        said["layer_types"] = (wanted, [kind == "full_attention" for kind in kinds])
        if "sliding_attention" in kinds:
            said["sliding_window"] = (network.sliding_window, config["sliding_window"])
    return said


@pytest.mark.parametrize("repository", KNOWN)
def test_our_figures_are_those_of_config_json(repository: str) -> None:
    config = text(json.loads(DOCUMENTS[repository].read_text()))
    said = described(NETWORKS[repository], config)
    assert len(said) >= (9 if NETWORKS[repository].causal else 8)
    assert {name: pair for name, pair in said.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize("repository", KNOWN)
def test_dense_layers_and_layers_of_multi_token_prediction(repository: str) -> None:
    network, config = NETWORKS[repository], text(json.loads(DOCUMENTS[repository].read_text()))
    if network.dense_layers:
        width = first(config, "dense_intermediate_size", "intermediate_size")
        assert network.intermediate == width
    published = first(config, "num_nextn_predict_layers", "mtp_num_hidden_layers")
    # MiniMax describes modules that are not among its files.
    if published is not None and "num_mtp_modules" not in config:
        assert network.mtp_layers == published


@pytest.mark.parametrize("repository", KNOWN)
def test_our_figures_are_those_that_a_checkpoint_is_read_as(repository: str) -> None:
    """So a key and a hub's name of the same weights are planned alike."""
    ours = NETWORKS[repository]
    published = {"config.json": json.loads(DOCUMENTS[repository].read_text())}
    if ours.task == "embed":
        published["modules.json"] = [{"type": "sentence_transformers.models.Pooling"}]
    read = architectures.network(Documents(json=published), repository)
    wrong = {
        field.name
        for field in fields(Network)
        if field.name not in NOT_IN_SHAPE and getattr(ours, field.name) != getattr(read, field.name)
    }
    assert wrong == UNSAID.get(repository.split("/")[1], set())
    assert read.parameters == pytest.approx(ours.parameters, rel=0.02, abs=5e8)


def test_enough_of_them_are_compared() -> None:
    assert len(KNOWN) >= 25
    assert len({NETWORKS[repository].attention for repository in KNOWN}) >= 3


@pytest.mark.parametrize("path", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_configuration_says_where_it_was_read(path: Any) -> None:
    document = json.loads(path.read_text())
    assert document["_source"] and document["architectures"]
