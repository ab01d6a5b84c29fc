"""A network as the metadata of its GGUF files describes it.

They say what config.json does under other names, so that the same rules read it. Source: the keys
of gguf-py, and what llama.cpp 0c1e570 reads of them for each architecture (src/models).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from deploys.planning.checkpoint.architectures import described, unknown_architecture
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.shape import families as of
from deploys.planning.checkpoint.shape import total
from deploys.planning.checkpoint.shape.attention import FULL, LINEAR, WINDOW
from deploys.planning.checkpoint.shape.configuration import MOST_LAYERS, Configuration
from deploys.planning.checkpoint.shape.family import Family
from deploys.planning.models.shapes import Network

_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        (
            *("llama", "mistral3", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "qwen3vl"),
            *("qwen3vlmoe", "phi3", "glm4moe", "seed_oss", "hunyuan-moe", "hunyuan-dense", "hy_v3"),
            *("ernie4_5", "ernie4_5-moe", "dots1", "smollm3", "granite", "minimax-m2", "arcee"),
        ),
        of.LLAMA,
    ),
    **dict.fromkeys(("qwen3next", "qwen35", "qwen35moe"), of.QWEN_HYBRID),
    "gpt-oss": of.GPT_OSS,
    "gemma2": of.GEMMA_2,
    "gemma3": of.GEMMA_3,
    "gemma4": of.GEMMA_4,
    "llama4": of.LLAMA_4,
    "cohere2": of.COHERE_2,
    **dict.fromkeys(("deepseek2", "mistral4"), of.MLA),
    **dict.fromkeys(("deepseek32", "glm-dsa"), of.DSA),
    "deepseek4": of.DEEPSEEK_V4,
    **dict.fromkeys(("kimi-linear", "kimi-k3"), of.KIMI_LINEAR),
    "bert": of.ENCODER,
}
# Keys below the architecture's name, by what config.json calls the same.
_NAMES = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "max_position_embeddings": "context_length",
    "vocab_size": "vocab_size",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "v_head_dim": "attention.value_length",
    "sliding_window": "attention.sliding_window",
    "attention_chunk_size": "attention.chunk_size",
    "kv_lora_rank": "attention.kv_lora_rank",
    "q_lora_rank": "attention.q_lora_rank",
    "qk_rope_head_dim": "rope.dimension_count",
    "index_n_heads": "attention.indexer.head_count",
    "index_head_dim": "attention.indexer.key_length",
    "compress_ratios": "attention.compress_ratios",
    "o_groups": "attention.output_group_count",
    "o_lora_rank": "attention.output_lora_rank",
    "full_attention_interval": "full_attention_interval",
    "linear_num_key_heads": "ssm.group_count",
    "linear_num_value_heads": "ssm.time_step_rank",
    "linear_key_head_dim": "ssm.state_size",
    "num_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "num_shared_experts": "expert_shared_count",
    "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
    "routed_expert_hidden_size": "expert_latent_length",
    "moe_intermediate_size": "expert_feed_forward_length",
    "first_k_dense_replace": "leading_dense_block_count",
    "interleave_moe_layer_step": "interleave_moe_layer_step",
    "num_nextn_predict_layers": "nextn_predict_layers",
    "num_kv_shared_layers": "attention.shared_kv_layers",
    "hidden_size_per_layer_input": "embedding_length_per_layer_input",
}
# What reading a header adds to its metadata, of its tensors (formats/gguf_metadata.py).
PARAMETERS, HEAD, LATENT = "tensors.parameters", "tensors.output", "tensors.attn_k_b"


def network(documents: Documents, name: str) -> Network:
    """Return the network that the metadata describes; raise Refusal for what it leaves unknown.

    + name: of the model, as its repository has it
    """
    metadata = documents.weights
    architecture = documents.architecture
    family = _FAMILIES.get(architecture or "")
    called = {key: f"{architecture}.{own}" for key, own in _NAMES.items()}
    settings = Configuration(name, _config(metadata, architecture or ""), "The GGUF header", called)
    if family is None:
        raise unknown_architecture(settings, architecture, "gguf_network.py")
    counted = _tensors(documents, PARAMETERS)
    if counted is None:
        raise settings.unknown("parameters", "The GGUF header tells nothing of its tensors")
    tied = _tensors(documents, HEAD) == 0
    text = settings.with_defaults({"tie_word_embeddings": tied} | dict(family.defaults))
    made = described(documents, name, text, family)
    return total.confirmed(replace(made, tied_embeddings=tied), text, counted)


def keeps_all_heads(documents: Documents) -> bool:
    """Return whether these are MLA weights from before llama.cpp kept its one vector.

    Source: llama.cpp's deepseek2.cpp: without the lengths of MLA, and the matrix that unpacks keys
    apart, it caches the keys and values of all heads.
    """
    metadata, architecture = documents.weights, documents.architecture
    if f"{architecture}.attention.kv_lora_rank" not in metadata:
        return False
    lengths = f"{architecture}.attention.key_length_mla"
    return lengths not in metadata and not _tensors(documents, LATENT)


def _config(metadata: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """Return the metadata under the names of config.json."""

    def said(key: str) -> Any:
        return _plain(metadata.get(f"{architecture}.{key}"))

    config = {name: value for name, key in _NAMES.items() if (value := said(key)) is not None}
    tokens = metadata.get("tokenizer.ggml.tokens")
    if "vocab_size" not in config and isinstance(tokens, Mapping):
        config["vocab_size"] = tokens.get("length")
    layers, drafting = config.get("num_hidden_layers"), config.get("num_nextn_predict_layers", 0)
    if _is_count(layers) and _is_count(drafting):
        # They count among the others here.
        config["num_hidden_layers"] = layers - drafting
    wide = _one(said("feed_forward_length"))
    if "num_experts" in config and "moe_intermediate_size" not in config:
        config["moe_intermediate_size"] = wide
    # Where all have experts, some converters say 0.
    config["intermediate_size"] = wide or config.get("moe_intermediate_size")
    if "num_experts" in config and architecture in ("gpt-oss", "llama4"):
        config["intermediate_size_mlp"] = wide
        config["intermediate_size"] = config.get("moe_intermediate_size")
    if said("pooling_type") is not None and architecture == "bert":
        config.pop("num_key_value_heads", None)
    if (fill := _MORE.get(architecture)) is not None:
        fill(config, said)
    inner, ranks = said("ssm.inner_size"), config.get("linear_num_value_heads")
    if _is_count(inner) and _is_count(ranks) and ranks > 0 and inner % ranks == 0:
        config["linear_value_head_dim"] = inner // ranks
    if "kv_lora_rank" in config:
        _latent(config, said)
    kinds = said("attention.sliding_window_pattern")
    if isinstance(kinds, list):
        config["layer_types"] = [WINDOW if one else FULL for one in kinds]
    elif kinds is not None:
        config["sliding_window_pattern"] = kinds
    recurrent = said("attention.recurrent_layers")
    if isinstance(recurrent, list):
        config["layer_types"] = [LINEAR if one else FULL for one in recurrent]
    return config


Said = Callable[[str], Any]


def _latent(config: dict[str, Any], said: Said) -> None:
    """Take the widths of MLA's heads from where they are, which was elsewhere until April 2025."""
    keys = said("attention.key_length_mla") or config.get("head_dim")
    values = said("attention.value_length_mla") or config.get("v_head_dim")
    rotary = config.get("qk_rope_head_dim")
    if _is_count(keys) and _is_count(rotary):
        config["qk_nope_head_dim"] = keys - rotary
    config["v_head_dim"] = values


def _gemma_4(config: dict[str, Any], said: Said) -> None:
    """Tell apart the heads of layers with a window and of the others."""
    config["global_head_dim"] = config.get("head_dim")
    config["head_dim"] = said("attention.key_length_swa")
    config.pop("v_head_dim", None)
    config["enable_moe_block"] = "num_experts" in config
    heads, kinds = config.get("num_key_value_heads"), said("attention.sliding_window_pattern")
    if isinstance(heads, list) and isinstance(kinds, list) and len(heads) == len(kinds):
        whole = [one for one, windowed in zip(heads, kinds, strict=True) if not windowed]
        config["num_key_value_heads"] = [
            one for one, windowed in zip(heads, kinds, strict=True) if windowed
        ]
        if whole and whole[0] not in config["num_key_value_heads"]:
            config["num_global_key_value_heads"] = whole
            config["attention_k_eq_v"] = True
    widths = said("feed_forward_length")
    if isinstance(widths, list) and widths and _is_count(widths[0]):
        config["intermediate_size"] = widths[0]
        config["use_double_wide_mlp"] = widths[-1] == 2 * widths[0]


def _kimi(config: dict[str, Any], said: Said) -> None:
    """Tell the layers that keep a state by their heads of keys and values, of which there are none.

    Only Kimi-K3 projects its experts' input down, and has gates as wide as what they are for.
    """
    heads = config.get("num_key_value_heads")
    if not isinstance(heads, list):
        return
    later = "routed_expert_hidden_size" in config
    config["mla_use_output_gate"] = later
    config["linear_attn_config"] = {
        "kda_layers": [layer + 1 for layer, count in enumerate(heads) if not count],
        "full_attn_layers": [layer + 1 for layer, count in enumerate(heads) if count],
        "num_heads": config.get("num_attention_heads"),
        "head_dim": said("kda.head_dim"),
        "use_full_rank_gate": later,
    }


def _sparse(config: dict[str, Any], said: Said) -> None:
    """Tell which layers have an indexer of their own."""
    types = said("attention.indexer.types")
    if isinstance(types, list):
        config["indexer_types"] = ["full" if one else "shared" for one in types]


def _deepseek_4(config: dict[str, Any], said: Said) -> None:
    """Leave out the values: one vector is both."""
    config.pop("v_head_dim", None)


_MORE: dict[str, Callable[[dict[str, Any], Said], None]] = {
    "gemma4": _gemma_4,
    "kimi-linear": _kimi,
    "kimi-k3": _kimi,
    "glm-dsa": _sparse,
    "deepseek4": _deepseek_4,
}


def _plain(value: Any) -> Any:
    """Return an array as a list; where only its length was kept, that it is one."""
    if isinstance(value, Mapping):
        values = value.get("values")
        return values if isinstance(values, list) and len(values) <= 2 * MOST_LAYERS else {}
    return value


def _one(value: Any) -> Any:
    """Return what all layers have; those without a feed-forward part of this kind have 0."""
    if not isinstance(value, list):
        return value
    others = [one for one in value if one != 0]
    return others if others else None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _tensors(documents: Documents, key: str) -> int | None:
    """Return a count over the tensors of all files; None where a file does not tell."""
    said = [part.get(key) for part in documents.gguf_parts]
    found = [one for one in said if _is_count(one) and 0 <= one < 10**15]
    return sum(found) if found and len(found) == len(said) else None
