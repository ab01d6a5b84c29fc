"""Networks as the engines for original weights have them: by their config.json and its figures.

`write` is for a vLLM that makes weights up itself: a configuration and a tokenizer of numbers.
Weights in files, and a tokenizer that chats, are in folder.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.model import Model
from deploys.planning.models.parameters import parameter_count
from tests.gpu import tensors

_AWQ = {
    "quant_method": "awq",
    "bits": 4,
    "group_size": 128,
    "version": "gemm",
    "zero_point": True,
}


@dataclass(frozen=True, kw_only=True)
class Network:
    """One of them.

    + model: what it is planned as; its size is that of the files it would have
    + config: of its config.json
    + how_to: vLLM's settings as the how-tos of such models give them
    """

    model: Model
    config: Mapping[str, Any]
    how_to: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """All that vLLM reads of a model whose weights it makes up."""
        folder.mkdir(parents=True, exist_ok=True)
        words = {f"<{number}>": number for number in range(self.config["vocab_size"])}
        tokenizer = {
            "version": "1.0",
            "added_tokens": [],
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "model": {"type": "WordLevel", "vocab": words, "unk_token": "<0>"},
        }
        kind = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<1>"}
        files = {
            "config.json": self.config,
            "tokenizer.json": tokenizer,
            "tokenizer_config.json": kind,
        }
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content))


def _cut(network: Network, key: str, **figures: int) -> Network:
    """One with other figures, by the names of config.json, and the size of the files then."""
    config = {**network.config, **figures}
    fields = {_FIELDS[name]: number for name, number in figures.items() if name in _FIELDS}
    shorter = replace(network.model.network, **fields)
    shorter = replace(shorter, parameters=parameter_count(shorter))
    model = replace(network.model, key=key, network=shorter, size=tensors.size(config))
    return replace(network, model=model, config=config)


# What our catalogue calls it.
_FIELDS = {
    "num_hidden_layers": "layers",
    "hidden_size": "hidden",
    "intermediate_size": "intermediate",
    "moe_intermediate_size": "expert_intermediate",
    "num_attention_heads": "heads",
    "num_key_value_heads": "kv_heads",
    "head_dim": "head_dim",
    "vocab_size": "vocabulary",
    "n_routed_experts": "experts",
    "num_experts": "experts",
    "first_k_dense_replace": "dense_layers",
}


# --dtype float16 is refused by the router of DeepSeek's experts, and left out there.
_HOW_TO = {"enforce-eager": True, "gpu-memory-utilization": 0.95, "max-model-len": 8192}

_QWEN_2_5 = Network(
    model=CATALOGUE["deepseek-r1-distill-qwen-32b-awq"],
    config={
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 5120,
        "intermediate_size": 27648,
        "num_hidden_layers": 64,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "vocab_size": 152_064,
        "max_position_embeddings": 131_072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1_000_000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "quantization_config": _AWQ,
    },
    how_to={**_HOW_TO, "dtype": "float16"},
)
_R1 = Network(
    model=CATALOGUE["deepseek-r1-awq"],
    config={
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "hidden_size": 7168,
        "intermediate_size": 18432,
        "moe_intermediate_size": 2048,
        "num_hidden_layers": 61,
        "num_attention_heads": 128,
        "num_key_value_heads": 128,
        "first_k_dense_replace": 3,
        "moe_layer_freq": 1,
        "n_routed_experts": 256,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "n_group": 8,
        "topk_group": 4,
        "topk_method": "noaux_tc",
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "scoring_func": "sigmoid",
        "q_lora_rank": 1536,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "vocab_size": 129_280,
        "hidden_act": "silu",
        "max_position_embeddings": 163_840,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000,
        "rope_scaling": {
            "type": "yarn",
            "factor": 40,
            "original_max_position_embeddings": 4096,
            "beta_fast": 32,
            "beta_slow": 1,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
        },
        "num_nextn_predict_layers": 1,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "quantization_config": _AWQ,
    },
    how_to=_HOW_TO,
)
_QWEN_3: dict[str, Any] = {
    "hidden_act": "silu",
    "head_dim": 128,
    "attention_bias": False,
    "max_position_embeddings": 40_960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "vocab_size": 151_936,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
_QWEN_3_32B = Network(
    model=CATALOGUE["qwen3-32b"],
    config={
        **_QWEN_3,
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": 5120,
        "intermediate_size": 25600,
        "num_hidden_layers": 64,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
    },
    how_to=_HOW_TO,
)
_QWEN_3_30B_A3B = Network(
    model=CATALOGUE["qwen3-30b-a3b-instruct-2507-fp8"],
    config={
        **_QWEN_3,
        "architectures": ["Qwen3MoeForCausalLM"],
        "model_type": "qwen3_moe",
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_hidden_layers": 48,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "max_position_embeddings": 262_144,
        "rope_theta": 10_000_000,
        "quantization_config": {
            "quant_method": "fp8",
            "fmt": "e4m3",
            "activation_scheme": "dynamic",
            "weight_block_size": [128, 128],
            "modules_to_not_convert": [
                "lm_head",
                *(f"model.layers.{layer}.mlp.gate" for layer in range(48)),
            ],
        },
    },
    how_to=_HOW_TO,
)
# The same ways through an engine, where there is no card and little time.
_TINY = {
    **{"num_hidden_layers": 2, "hidden_size": 512, "intermediate_size": 1024, "vocab_size": 2048},
    **{"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64},
}

NETWORKS = {
    "qwen2.5-32b-awq": _QWEN_2_5,
    "deepseek-r1-20-layers-awq": _cut(_R1, "deepseek-r1-20-layers-awq", num_hidden_layers=20),
}
# To be deployed: what takes no longer to write and to fetch than to start.
DEPLOYED = {
    network.model.key: network
    for network in (
        _QWEN_2_5,
        _cut(_R1, "deepseek-r1-6-layers-awq", num_hidden_layers=6),
        _cut(_QWEN_3_32B, "qwen3-32b-8-layers", num_hidden_layers=8),
        _cut(_QWEN_3_30B_A3B, "qwen3-30b-a3b-instruct-2507-fp8-12-layers", num_hidden_layers=12),
        _cut(_QWEN_3_32B, "qwen3-tiny", **_TINY),
        _cut(_QWEN_2_5, "qwen2.5-tiny-awq", **_TINY),
    )
}
