"""The feed-forward part of each layer as config.json describes it: dense, or experts.

What each key means was read in the configurations of transformers 5.19, and in vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.checkpoint.shape.attention import Shape, layers_of
from deploys.planning.checkpoint.shape.configuration import MOST_LAYERS, Configuration

_EXPERTS = ("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
_USED = (
    *("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "top_k_experts"),
    *("moe_topk", "moe_k", "moe_top_k"),
)
_SHARED = (
    *("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"),
)
_SHARED_WIDTH = ("shared_expert_intermediate_size", "shared_intermediate_size", "share_expert_dim")
_WIDTH = ("intermediate_size", "ffn_hidden_size", "n_inner")
_DENSE_WIDTH = ("dense_intermediate_size", "intermediate_size_mlp")
_EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size")


def feed_forward(settings: Configuration, *, plain_width: bool = False) -> Shape:
    """Return the feed-forward part; without experts if the document speaks of none.

    + plain_width: intermediate_size is the width of an expert (Mixtral, gpt-oss, MiniMax)
    """
    if settings.first(*_EXPERTS) is None or settings.maybe("experts", *_EXPERTS, least=0) == 0:
        return {"intermediate": settings.count("intermediate", *_WIDTH)}
    experts = settings.count("experts", *_EXPERTS, most=100_000)
    if experts == 1:
        return {"intermediate": settings.count("intermediate", *_WIDTH)}
    used = settings.count("experts_used", *_USED)
    if used > experts:
        raise settings.unknown("experts_used", f"{settings.path} uses {used} of {experts} experts")
    widths = _WIDTH if plain_width else _EXPERT_WIDTH
    width = settings.count("expert_intermediate", *widths)
    shape: Shape = {
        "experts": experts,
        "experts_used": used,
        "expert_intermediate": width,
        "shared_experts": _shared(settings, width),
    }
    shape |= _layers(settings, _has_experts(settings))
    dense = settings.maybe("intermediate", *_DENSE_WIDTH) if plain_width else None
    dense = dense or settings.maybe("intermediate", *_WIDTH)
    if dense is None:
        if shape.get("dense_layers") or shape.get("experts_interval", 1) > 1:
            raise settings.unknown("intermediate", f"{settings.path} has no {_WIDTH[0]}")
        # No layer is dense, so that this is read of none.
        dense = width
    return shape | {"intermediate": dense}


def _shared(settings: Configuration, width: int) -> int:
    """Return how many experts every token passes through; a width of its own is so many."""
    shared = settings.maybe("shared_experts", *_SHARED, least=0)
    own = settings.maybe("shared_experts", *_SHARED_WIDTH, least=0)
    if own is None or own == width * (shared or 0):
        return shared or 0
    count, rest = divmod(own, width)
    if rest:
        raise settings.unknown(
            "shared_experts",
            f"{settings.path} has a shared expert {own} wide, others {width}",
        )
    return count


def _has_experts(settings: Configuration) -> Sequence[bool]:
    """Return of each layer whether it has experts."""
    layers = layers_of(settings)
    if (types := settings.words("dense_layers", "mlp_layer_types")) is not None:
        return _listed(settings, "mlp_layer_types", [kind != "dense" for kind in types], layers)
    frequency = settings.get("moe_layer_freq")
    if isinstance(frequency, list):
        each = settings.numbers("dense_layers", "moe_layer_freq") or ()
        return _listed(settings, "moe_layer_freq", [one != 0 for one in each], layers)
    if (named := settings.numbers("dense_layers", "moe_layers")) is not None:
        return [layer in named for layer in range(layers)]
    if (named := _enumerated(settings)) is not None:
        return [layer in named for layer in range(layers)]
    steps = ("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval")
    step = settings.maybe("experts_interval", *steps, "moe_layer_freq") or 1
    keys = ("first_k_dense_replace", "moe_layer_start_index")
    first = settings.maybe("dense_layers", *keys, least=0, most=MOST_LAYERS) or 0
    # -1 is the last one of all (transformers, configuration_ernie4_5_moe.py).
    last = settings.maybe("dense_layers", "moe_layer_end_index", least=-1)
    last = layers if last is None or last < 0 else last
    dense = settings.numbers("dense_layers", "mlp_only_layers") or ()
    return [
        layer >= first and (layer + 1) % step == 0 and layer <= last and layer not in dense
        for layer in range(layers)
    ]


def _enumerated(settings: Configuration) -> tuple[int, ...] | None:
    """Return the layers that Step names in one word, with commas."""
    word = settings.word("dense_layers", "moe_layers_enum")
    if word is None:
        return None
    parts = word.split(",")
    if not all(part.strip().isdecimal() and len(part) < 6 for part in parts):
        raise settings.unknown("dense_layers", f"{settings.path} says moe_layers_enum anew")
    return tuple(int(part) for part in parts)


def _listed(settings: Configuration, key: str, each: Sequence[bool], layers: int) -> Sequence[bool]:
    if len(each) < layers:
        raise settings.unknown("dense_layers", f"{settings.path} has {len(each)} {key} of {layers}")
    return each[:layers]


def _layers(settings: Configuration, experts: Sequence[bool]) -> Shape:
    """Return how to say which layers have experts: some leading dense ones, then at an interval."""
    if not any(experts):
        raise settings.unknown("dense_layers", f"{settings.path} has experts in no layer")
    if all(experts):
        return {}
    layers = len(experts)
    gaps = [layer for layer in range(layers) if experts[layer]]
    step = gaps[1] - gaps[0] if len(gaps) > 1 else 1
    dense = gaps[0] - step + 1
    for leading in (dense, gaps[0]):
        every = step if leading == dense else 1
        said = [at >= leading and (at - leading + 1) % every == 0 for at in range(layers)]
        if leading >= 0 and said == list(experts):
            return {"dense_layers": leading, "experts_interval": every}
    raise settings.unknown(
        "experts_interval", f"{settings.path} has experts in layers that are at no interval"
    )
