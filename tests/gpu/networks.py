"""Networks whose weights vLLM makes up itself: a configuration, a tokenizer of numbers, no tensors.

Figures are from the models' own config.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploys.planning.catalogue import CATALOGUE
from deploys.planning.model import Model
from deploys.planning.network import weights

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


def _shortened(model: Model, *, key: str, layers: int) -> Model:
    """Its first layers in AWQ, with the size that their files would have.

    A weight takes 4 bits, and 128 of them share a scale of 16 and a zero of 4; those of embeddings,
    head and routers take 16.
    """
    shorter = replace(model, key=key, layers=layers)
    routers = (layers - model.dense_layers) * model.experts * model.hidden
    plain = 2 * (model.vocabulary or 0) * model.hidden + routers
    packed = weights(shorter) - plain
    size = packed * (4 + 20 / 128) / 8 + plain * 2
    return replace(shorter, parameters=weights(shorter), size=int(size))


# --dtype float16 is refused by the router of DeepSeek's experts, and left out there.
_HOW_TO = {"enforce-eager": True, "gpu-memory-utilization": 0.95, "max-model-len": 8192}

NETWORKS = {
    "qwen2.5-32b-awq": Network(
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
    ),
    "deepseek-r1-20-layers-awq": Network(
        model=_shortened(CATALOGUE["deepseek-r1-awq"], key="deepseek-r1-20-layers-awq", layers=20),
        config={
            "architectures": ["DeepseekV3ForCausalLM"],
            "model_type": "deepseek_v3",
            "hidden_size": 7168,
            "intermediate_size": 18432,
            "moe_intermediate_size": 2048,
            "num_hidden_layers": 20,
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
    ),
}
