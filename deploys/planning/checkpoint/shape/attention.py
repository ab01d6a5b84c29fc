"""Attention as config.json describes it: heads, latent vectors, windows, states, and their layers.

What each key means was read in the configurations of transformers 5.19, and in vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deploys.planning.checkpoint.shape.configuration import MOST_LAYERS, Configuration

# Fields of Network.
Shape = dict[str, Any]
# The kind of each layer, where the document has no layer_types.
Kinds = Callable[[Configuration, int], Sequence[str]]

FULL, WINDOW, LINEAR = "full_attention", "sliding_attention", "linear_attention"
# Other names of these. Those that are sparse keep every token; which ones have an indexer, the
# reader of their architecture says.
_KIND = {
    **dict.fromkeys((FULL, "attention", "global_attention"), FULL),
    **dict.fromkeys(("deepseek_sparse_attention", "minimax_m3_sparse"), FULL),
    **dict.fromkeys((WINDOW, "chunked_attention", "local_attention"), WINDOW),
    LINEAR: LINEAR,
}


def layers_of(settings: Configuration) -> int:
    """Return how many layers there are."""
    keys = ("num_hidden_layers", "num_layers", "n_layer")
    return settings.count("layers", *keys, most=MOST_LAYERS)


def heads(settings: Configuration) -> Shape:
    """Return queries, keys and values of heads; each has its own keys unless something is said."""
    queries = settings.count("heads", "num_attention_heads", "n_head")
    hidden = settings.count("hidden", "hidden_size", "n_embd")
    keys = ("num_key_value_heads", "num_attention_groups", "multi_query_group_num")
    kv_heads = settings.maybe("kv_heads", *keys)
    width = settings.maybe("head_dim", "head_dim", "attention_head_dim", "kv_channels")
    if width is None:
        width, rest = divmod(hidden, queries)
        if rest:
            raise settings.unknown(
                "head_dim",
                f"{settings.path} has no head_dim, and {queries} heads do not divide"
                f" hidden_size {hidden}",
            )
    shape = {"heads": queries, "kv_heads": kv_heads or queries, "head_dim": width}
    values = settings.maybe("v_head_dim", "v_head_dim")
    if values is not None and values != width:
        shape["v_head_dim"] = values
    return shape


def latent(settings: Configuration) -> Shape:
    """Return MLA: one vector for the keys and values of all heads, and a rotary key."""
    keys = settings.count("nope_head_dim", "qk_nope_head_dim")
    values = settings.count("v_head_dim", "v_head_dim")
    queries = settings.count("heads", "num_attention_heads")
    shape: Shape = {
        "heads": queries,
        "kv_heads": queries,
        "head_dim": keys,
        "kv_lora_rank": settings.count("kv_lora_rank", "kv_lora_rank"),
        "rope_head_dim": settings.count("rope_head_dim", "qk_rope_head_dim", least=0),
        "q_lora_rank": settings.maybe("q_lora_rank", "q_lora_rank"),
    }
    if keys != values:
        shape |= {"nope_head_dim": keys, "v_head_dim": values}
    return shape


def sparse_latent(settings: Configuration) -> Shape:
    """Return MLA with an indexer, in all layers or in those that others follow.

    Which ones: transformers, configuration_glm_moe_dsa.py; vLLM, models/deepseek_v32/attention.py,
    of which the latter's default offset is 2 and the former's 1, so that one has to be said.
    """
    layers = layers_of(settings)
    shape = latent(settings) | {
        "index_head_dim": settings.count("index_head_dim", "index_head_dim"),
        "index_heads": settings.count("index_heads", "index_n_heads"),
    }
    own: tuple[bool, ...]
    pattern = settings.get("index_topk_pattern")
    if (types := settings.words("index_layers", "indexer_types")) is not None:
        own = _each(settings, "indexer_types", types, layers, ("full", "shared"))
    elif isinstance(pattern, str):
        own = _each(settings, "index_topk_pattern", tuple(pattern), layers, ("F", "S"))
    elif pattern is not None:
        raise settings.unknown("index_layers", f"{settings.path} says index_topk_pattern anew")
    else:
        every = settings.maybe("index_layers", "index_topk_freq") or 1
        if every == 1:
            return shape
        offset = settings.count("index_layers", "index_skip_topk_offset", least=0)
        own = tuple(max(layer - offset + 1, 0) % every == 0 for layer in range(layers))
    if all(own):
        return shape
    return shape | {"index_layers": tuple(layer for layer in range(layers) if own[layer])}


def delta_states(settings: Configuration) -> Shape:
    """Return the linear layers of Gated DeltaNet, as Qwen has them since Qwen3-Next."""
    keys = settings.count("linear_head_dim", "linear_key_head_dim")
    if keys != settings.count("linear_head_dim", "linear_value_head_dim"):
        raise settings.unknown(
            "linear_head_dim", f"{settings.path} has linear heads whose keys and values differ"
        )
    return {
        "linear_key_heads": settings.count("linear_key_heads", "linear_num_key_heads"),
        "linear_value_heads": settings.count("linear_value_heads", "linear_num_value_heads"),
        "linear_head_dim": keys,
    }


def in_layers(settings: Configuration, kinds: Kinds) -> tuple[Shape, Sequence[str]]:
    """Return which layers look at every token, with their windows, and the kind of each.

    Where all layers have a window, they are taken for ones that keep all: within the window that is
    exact, and beyond it too much.
    """
    layers = layers_of(settings)
    said = settings.words("full_attention_layers", "layer_types")
    if said is None:
        said = tuple(kinds(settings, layers))
    if len(said) < layers:
        raise settings.unknown(
            "full_attention_layers", f"{settings.path} has {len(said)} layer_types of {layers}"
        )
    # What goes beyond are layers of multi-token prediction (Step-3.5).
    if strange := next((kind for kind in said if kind not in _KIND), None):
        raise settings.unknown(
            "full_attention_layers", f"{settings.path} has layers with {strange[:40]!r} attention"
        )
    each = [_KIND[kind] for kind in said[:layers]]
    if FULL not in each:
        if LINEAR in each:
            raise settings.unknown(
                "full_attention_interval", f"{settings.path} has no layer that keeps every token"
            )
        return {}, [FULL] * layers
    if WINDOW in each and LINEAR in each:
        raise settings.unknown(
            "sliding_window", f"{settings.path} has both windows and linear attention"
        )
    shape = placed([kind == FULL for kind in each])
    if WINDOW in each:
        keys: tuple[str, ...] = ("sliding_window", "sliding_window_size", "window_size")
        if "chunked_attention" in said:
            keys = ("attention_chunk_size",)
        shape["sliding_window"] = settings.count("sliding_window", *keys)
    return shape, each


def every(interval: int, others: str = WINDOW, key: str | None = None) -> Kinds:
    """Return kinds of which every so many-th, the last of each group, looks at all tokens.

    + key: where the document may say another interval
    """

    def kinds(settings: Configuration, layers: int) -> Sequence[str]:
        step = settings.maybe("full_attention_interval", key) if key else None
        return [others if (layer + 1) % (step or interval) else FULL for layer in range(layers)]

    return kinds


def all_alike(settings: Configuration, layers: int) -> Sequence[str]:
    """Return layers that all look at every token, but for those of Qwen's that have a window.

    Source: transformers, configuration_qwen2.py: from max_window_layers on, if it is used at all.
    """
    used = settings.flag("sliding_window", "use_sliding_window")
    if not used or "sliding_window" not in settings:
        return [FULL] * layers
    first = settings.count("sliding_window", "max_window_layers", least=0)
    return [WINDOW if layer >= first else FULL for layer in range(layers)]


def divides(settings: Configuration, queries: int, kv_heads: int) -> None:
    """Refuse heads that do not share keys and values evenly."""
    if queries % kv_heads:
        raise settings.unknown(
            "kv_heads", f"{settings.path} has {queries} heads, and {kv_heads} of keys and values"
        )


def placed(whole: Sequence[bool]) -> Shape:
    """Return how to say which layers look at all tokens: at an interval, or each by its number."""
    if all(whole):
        return {}
    step = whole.index(True) + 1
    if all(one == ((layer + 1) % step == 0) for layer, one in enumerate(whole)):
        return {"full_attention_interval": step}
    return {"full_attention_layers": tuple(layer for layer, one in enumerate(whole) if one)}


def _each(
    settings: Configuration, key: str, said: Sequence[str], layers: int, words: tuple[str, str]
) -> tuple[bool, ...]:
    if len(said) < layers or set(said) - set(words):
        raise settings.unknown(
            "index_layers", f"{settings.path} has {key} that are not one of {words} for each layer"
        )
    return tuple(one == words[0] for one in said[:layers])
