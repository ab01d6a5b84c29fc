"""How the config.json of each family of architectures is read, where it leaves room.

Source of every rule: the family's configuration in transformers 5.19, and its model in vLLM 0.32.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.checkpoint.shape import attention
from deploys.planning.checkpoint.shape.attention import FULL, LINEAR, WINDOW, Shape
from deploys.planning.checkpoint.shape.configuration import MOST_LAYERS, Configuration
from deploys.planning.checkpoint.shape.family import Family
from deploys.planning.models.shapes import Compressed


@dataclass(frozen=True, kw_only=True)
class Latent(Family):
    """MLA: DeepSeek, and who has taken it over."""

    sparse: bool = False

    def attention(self, settings: Configuration) -> Shape:
        if self.sparse:
            return attention.sparse_latent(settings)
        if settings.first("index_head_dim", "index_topk"):
            raise settings.unknown("index_head_dim", f"{settings.path} has an indexer beside MLA")
        return attention.latent(settings)


@dataclass(frozen=True, kw_only=True)
class Gemma4(Family):
    """Layers with a window have heads of their own; small ones have embeddings for each layer."""

    def more(self, settings: Configuration, shape: Shape) -> Shape:
        window = (shape["kv_heads"], shape["head_dim"])
        width = settings.count("head_dim", "global_head_dim")
        alone = settings.flag("keys_are_values", "attention_k_eq_v")
        kv_heads = settings.maybe("kv_heads", "num_global_key_value_heads") if alone else None
        found: Shape = {
            "head_dim": width,
            "kv_heads": kv_heads or window[0],
            "window_kv_heads": window[0],
            "window_head_dim": window[1],
            "keys_are_values": alone,
            "layer_embeddings": settings.count(
                "layer_embeddings", "hidden_size_per_layer_input", least=0
            ),
        }
        shared = settings.maybe("shared_cache_layers", "num_kv_shared_layers", least=0) or 0
        if shared >= attention.layers_of(settings):
            raise settings.unknown("shared_cache_layers", f"{settings.path} shares every cache")
        found["shared_cache_layers"] = shared
        if shared and settings.flag("shared_cache_intermediate", "use_double_wide_mlp"):
            found["shared_cache_intermediate"] = 2 * shape["intermediate"]
        if shape.get("experts"):
            if not settings.flag("experts", "enable_moe_block"):
                return found | dict.fromkeys(("experts", "experts_used", "shared_experts"), 0)
            # A dense part beside the experts is so many that every token passes through.
            beside, rest = divmod(shape["intermediate"], shape["expert_intermediate"])
            if rest:
                raise settings.unknown("shared_experts", f"{settings.path} has an odd dense part")
            found["shared_experts"] = beside
        return found


@dataclass(frozen=True, kw_only=True)
class Windowed(Family):
    """Layers with a window have heads of their own: MiMo-V2 and Step-3.5."""

    def more(self, settings: Configuration, shape: Shape) -> Shape:
        other = settings.inner("attention_other_setting")
        if other is not None:
            found = attention.heads(
                other.with_defaults({"hidden_size": settings.get("hidden_size")})
            )
        elif settings.first("swa_num_attention_heads"):
            found = {
                "heads": settings.count("window_heads", "swa_num_attention_heads"),
                "kv_heads": settings.count("window_kv_heads", "swa_num_key_value_heads"),
                "head_dim": settings.count("window_head_dim", "swa_head_dim"),
            }
            values = settings.maybe("v_head_dim", "swa_v_head_dim") or found["head_dim"]
            if values != shape.get("v_head_dim", shape["head_dim"]):
                raise settings.unknown("v_head_dim", f"{settings.path} has two of v_head_dim")
        else:
            return {}
        if found["head_dim"] == shape["head_dim"]:
            found["head_dim"] = None
        return {f"window_{name}": found[name] for name in ("heads", "kv_heads", "head_dim")}


@dataclass(frozen=True, kw_only=True)
class MiniMaxM3(Family):
    """An indexer chooses blocks of keys and values in all layers but some."""

    def more(self, settings: Configuration, shape: Shape) -> Shape:
        sparse = settings.inner("sparse_attention_config")
        if sparse is None:
            raise settings.unknown("index_head_dim", f"{settings.path} has no indexer")
        layers = attention.layers_of(settings)
        own = sparse.numbers("index_layers", "sparse_attention_freq")
        if own is None or len(own) < layers:
            raise sparse.unknown("index_layers", f"{sparse.path} has no sparse_attention_freq")
        return {
            "index_head_dim": sparse.count("index_head_dim", "sparse_index_dim"),
            "index_heads": sparse.count("index_heads", "sparse_num_index_heads"),
            "index_layers": tuple(layer for layer in range(layers) if own[layer]),
        }


@dataclass(frozen=True, kw_only=True)
class DeepseekV4(Family):
    """One vector for all heads, one entry for several tokens, and a window in every layer."""

    def attention(self, settings: Configuration) -> Shape:
        layers = attention.layers_of(settings)
        ratios = settings.numbers("compressed", "compress_ratios")
        if ratios is None or len(ratios) < layers or set(ratios) - {0, 1, 4, 128}:
            raise settings.unknown(
                "compressed",
                f"{settings.path} has no compress_ratios of 0, 1, 4 or 128 for each layer",
            )
        if set(ratios[:layers]) <= {0, 1}:
            raise settings.unknown("compressed", f"{settings.path} compresses nothing")
        shape = attention.heads(settings)
        rotary = settings.count("rope_head_dim", "qk_rope_head_dim")
        if shape["kv_heads"] != 1 or rotary >= shape["head_dim"]:
            raise settings.unknown("kv_lora_rank", f"{settings.path} has more than one vector")
        return shape | {
            "kv_heads": shape["heads"],
            "kv_lora_rank": shape["head_dim"] - rotary,
            "rope_head_dim": rotary,
            "q_lora_rank": settings.count("q_lora_rank", "q_lora_rank"),
            "index_head_dim": settings.count("index_head_dim", "index_head_dim"),
            "index_heads": settings.count("index_heads", "index_n_heads"),
            # Only what is compressed little is chosen from (vLLM, models/deepseek_v4/attention.py).
            "index_layers": tuple(at for at in range(layers) if ratios[at] == 4),
            "compressed": Compressed(
                ratios=tuple(max(1, ratio) for ratio in ratios[:layers]),
                output_groups=settings.count("compressed", "o_groups"),
                output_rank=settings.count("compressed", "o_lora_rank"),
            ),
            "sliding_window": settings.count("sliding_window", "sliding_window"),
        }


@dataclass(frozen=True, kw_only=True)
class KimiLinear(Latent):
    """Kimi Delta Attention, and MLA in some layers; Kimi-K3 has experts of a narrower width."""

    def more(self, settings: Configuration, shape: Shape) -> Shape:
        layers = attention.layers_of(settings)
        linear = settings.inner("linear_attn_config")
        if linear is None:
            raise settings.unknown("linear_value_heads", f"{settings.path} has no linear attention")
        whole = linear.numbers("full_attention_layers", "full_attn_layers")
        states = linear.numbers("full_attention_layers", "kda_layers")
        # They count from one.
        if whole is None or {*whole, *(states or ())} != set(range(1, layers + 1)):
            raise linear.unknown("full_attention_layers", f"{linear.path} leaves out layers")
        numbers = linear.count("linear_value_heads", "num_heads")
        found: Shape = attention.placed([layer + 1 in whole for layer in range(layers)])
        return found | {
            "linear_key_heads": numbers,
            "linear_value_heads": numbers,
            "linear_head_dim": linear.count("linear_head_dim", "head_dim"),
            "linear_low_rank_gates": not linear.flag("linear_low_rank_gates", "use_full_rank_gate"),
            "gated_attention": settings.flag("gated_attention", "mla_use_output_gate"),
            "expert_hidden": settings.maybe("expert_hidden", "routed_expert_hidden_size"),
        }


def _gpt_oss(settings: Configuration, layers: int) -> list[str]:
    return [FULL if layer % 2 else WINDOW for layer in range(layers)]


def _llama_4(settings: Configuration, layers: int) -> list[str]:
    """Return layers of which those without rotary positions look at all tokens."""
    rotary = settings.numbers("full_attention_layers", "no_rope_layers")
    if not rotary:
        step = settings.maybe("full_attention_interval", "no_rope_layer_interval") or 4
        rotary = tuple(int((layer + 1) % step != 0) for layer in range(layers))
    if "attention_chunk_size" not in settings:
        return [FULL] * layers
    return ["chunked_attention" if one else FULL for one in rotary]


def _exaone_4(settings: Configuration, layers: int) -> list[str]:
    """Return layers by a pattern that is repeated: L has a window, G looks at all tokens."""
    if "sliding_window" not in settings:
        return [FULL] * layers
    pattern = settings.get("sliding_window_pattern")
    if not isinstance(pattern, str):
        return [*attention.every(4, key="sliding_window_pattern")(settings, layers)]
    if not pattern or set(pattern) - {"L", "G"}:
        raise settings.unknown(
            "full_attention_layers", f"{settings.path} says sliding_window_pattern anew"
        )
    return [WINDOW if pattern[at % len(pattern)] == "L" else FULL for at in range(layers)]


def _mimo(settings: Configuration, layers: int) -> list[str]:
    pattern = settings.numbers("full_attention_layers", "hybrid_layer_pattern")
    if pattern is None:
        raise settings.unknown(
            "full_attention_layers", f"{settings.path} has no hybrid_layer_pattern"
        )
    return [WINDOW if one == 1 else FULL for one in pattern[:MOST_LAYERS]]


_GEMMA_3 = {
    **{"vocab_size": 262_208, "num_attention_heads": 8, "num_key_value_heads": 4},
    **{"head_dim": 256, "max_position_embeddings": 131_072, "tie_word_embeddings": True},
}
_GEMMA_4 = {
    **{"vocab_size": 262_144, "max_position_embeddings": 131_072, "tie_word_embeddings": True},
    **{"head_dim": 256, "global_head_dim": 512, "hidden_size_per_layer_input": 256},
}

LLAMA = Family()
QWEN_HYBRID = Family(
    kinds=attention.every(4, LINEAR, "full_attention_interval"),
    gated=True,
    defaults={
        **{"head_dim": 256, "linear_key_head_dim": 128, "linear_value_head_dim": 128},
        **{"linear_num_key_heads": 16, "linear_num_value_heads": 32},
    },
)
MIXTRAL = Family(plain_width=True)
GPT_OSS = Family(kinds=_gpt_oss, plain_width=True, defaults={"sliding_window": 128})
ERNIE_4_5 = Family(defaults={"tie_word_embeddings": True, "head_dim": 128})
GEMMA_2 = Family(
    kinds=attention.every(2), defaults={"tie_word_embeddings": True, "sliding_window": 4096}
)
GEMMA_3 = Family(kinds=attention.every(6, key="sliding_window_pattern"), defaults=_GEMMA_3)
GEMMA_4 = Gemma4(kinds=attention.every(6), defaults=_GEMMA_4)
LLAMA_4 = Family(
    kinds=_llama_4,
    plain_width=True,
    # The one expert that every token passes through is no choice (vLLM, llama4.py).
    defaults={
        **{"n_shared_experts": 1, "head_dim": 128, "vocab_size": 202_048},
        **{"num_key_value_heads": 8, "num_attention_heads": 40, "attention_chunk_size": 8192},
        **{"intermediate_size_mlp": 16_384},
    },
)
COHERE_2 = Family(
    kinds=attention.every(4, key="sliding_window_pattern"), defaults={"tie_word_embeddings": True}
)
EXAONE_4 = Family(kinds=_exaone_4)
OLMO_3 = Family(kinds=attention.every(4))
MLA = Latent()
DSA = Latent(sparse=True)
DEEPSEEK_V4 = DeepseekV4()
KIMI_LINEAR = KimiLinear(defaults={"tie_word_embeddings": False})
MINIMAX_M3 = MiniMaxM3(plain_width=True)
MIMO_V2 = Windowed(kinds=_mimo)
STEP_3_5 = Windowed()
ENCODER = Family(encoder=True)
