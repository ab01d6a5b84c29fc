"""The tensors of a network in safetensors, as its config.json has them.

Names and types are those of the published checkpoints: AutoAWQ's packing, FP8 in blocks of 128 by
128, or plain BF16. Layers that predict further tokens are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

BYTES = {"F8_E4M3": 1, "F16": 2, "BF16": 2, "F32": 4, "I32": 4}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
# Weights of one scale: along the input with AWQ, and in either direction with FP8.
_GROUP = 128
# Weights of 4 bits in a number of 32.
_PACKED = 8


class Tensor(NamedTuple):
    """One of them without its data."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * BYTES[self.dtype]


def tensors(config: Mapping[str, Any]) -> list[Tensor]:
    """All of them, from the embedding to the head."""
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    found = [Tensor(EMBEDDING, "BF16", (vocabulary, hidden))]
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        found += [
            _vector(f"{prefix}.input_layernorm.weight", hidden),
            _vector(f"{prefix}.post_attention_layernorm.weight", hidden),
            *_attention(config, f"{prefix}.self_attn"),
            *_feed_forward(config, layer, f"{prefix}.mlp"),
        ]
    found += [_vector("model.norm.weight", hidden), Tensor(HEAD, "BF16", (vocabulary, hidden))]
    return found


def size(config: Mapping[str, Any]) -> int:
    """Bytes of all tensors."""
    return sum(each.size for each in tensors(config))


def _attention(config: Mapping[str, Any], at: str) -> Iterator[Tensor]:
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    if "kv_lora_rank" in config:
        queries, rank = config["q_lora_rank"], config["kv_lora_rank"]
        plain, rope, values = (
            config[name] for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
        )
        yield _vector(f"{at}.q_a_layernorm.weight", queries)
        yield _vector(f"{at}.kv_a_layernorm.weight", rank)
        yield from _matrix(config, f"{at}.q_a_proj", hidden, queries)
        yield from _matrix(config, f"{at}.q_b_proj", queries, heads * (plain + rope))
        yield from _matrix(config, f"{at}.kv_a_proj_with_mqa", hidden, rank + rope)
        yield from _matrix(config, f"{at}.kv_b_proj", rank, heads * (plain + values))
        yield from _matrix(config, f"{at}.o_proj", heads * values, hidden)
        return
    width = config.get("head_dim") or hidden // heads
    wide, narrow = heads * width, config["num_key_value_heads"] * width
    for name, out in (("q", wide), ("k", narrow), ("v", narrow)):
        yield from _matrix(config, f"{at}.{name}_proj", hidden, out)
        if config["model_type"] == "qwen2":
            yield _vector(f"{at}.{name}_proj.bias", out)
    yield from _matrix(config, f"{at}.o_proj", wide, hidden)
    if config["model_type"].startswith("qwen3"):
        yield _vector(f"{at}.q_norm.weight", width)
        yield _vector(f"{at}.k_norm.weight", width)


def _feed_forward(config: Mapping[str, Any], layer: int, at: str) -> Iterator[Tensor]:
    hidden = config["hidden_size"]
    experts = config.get("n_routed_experts") or config.get("num_experts") or 0
    if not experts or layer < config.get("first_k_dense_replace", 0):
        yield from _gated(config, at, config["intermediate_size"])
        return
    width = config["moe_intermediate_size"]
    yield Tensor(f"{at}.gate.weight", "BF16", (experts, hidden))
    if config.get("topk_method") == "noaux_tc":
        yield Tensor(f"{at}.gate.e_score_correction_bias", "F32", (experts,))
    for expert in range(experts):
        yield from _gated(config, f"{at}.experts.{expert}", width)
    if shared := config.get("n_shared_experts"):
        yield from _gated(config, f"{at}.shared_experts", shared * width)


def _gated(config: Mapping[str, Any], at: str, width: int) -> Iterator[Tensor]:
    hidden = config["hidden_size"]
    yield from _matrix(config, f"{at}.gate_proj", hidden, width)
    yield from _matrix(config, f"{at}.up_proj", hidden, width)
    yield from _matrix(config, f"{at}.down_proj", width, hidden)


def _matrix(config: Mapping[str, Any], at: str, into: int, out: int) -> Iterator[Tensor]:
    """One linear layer, in the way that the network is quantized."""
    method = config.get("quantization_config", {}).get("quant_method")
    if method == "awq":
        yield Tensor(f"{at}.qweight", "I32", (into, out // _PACKED))
        yield Tensor(f"{at}.qzeros", "I32", (into // _GROUP, out // _PACKED))
        yield Tensor(f"{at}.scales", "F16", (into // _GROUP, out))
    elif method == "fp8":
        blocks = (-(-out // _GROUP), -(-into // _GROUP))
        yield Tensor(f"{at}.weight", "F8_E4M3", (out, into))
        yield Tensor(f"{at}.weight_scale_inv", "F32", blocks)
    else:
        yield Tensor(f"{at}.weight", "BF16", (out, into))


def _vector(name: str, width: int) -> Tensor:
    return Tensor(name, "BF16", (width,))
