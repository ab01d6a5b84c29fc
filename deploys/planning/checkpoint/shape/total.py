"""How many parameters a network has: as the index says, or multiplied out of its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.parsed import INDEX
from deploys.planning.checkpoint.shape.configuration import Configuration
from deploys.planning.models.parameters import (
    embeddings,
    layer_parameters,
    parameter_count,
    routed,
)
from deploys.planning.models.shapes import Network

# Bytes of a weight that is not quantized.
_WIDTHS = {"bfloat16": 2, "float16": 2, "float32": 4}
# What a shape may be off by: norms, biases, and what looks at images.
_OFF = 0.1
# Whose feed-forward part in what looks at images has three matrices, by the beginning of its
# model_type. Source: the models of vLLM 0.32.
_GATED_VISION = ("qwen2_5_vl", "pixtral", "glm4v", "mimovl", "kimi_k3")


def counted(
    network: Network, settings: Configuration, text: Configuration, documents: Documents
) -> Network:
    """Return the network with its parameters; refuse one whose index says something else.

    + settings: of the whole config.json
    + text: of its part for text
    """
    indexed = _indexed(documents, text)
    seen = _images(settings)
    if indexed:
        # Where the document does not tell, no more than a tenth is for images.
        room = parameter_count(network) * _OFF if seen is None else seen
        fitting = (one for one in indexed if _fits(network, text, one, room))
        return confirmed(network, text, next(fitting, indexed[0]), room)
    if seen is None:
        raise settings.unknown(
            "parameters", f"{settings.path} does not say how large the part for images is"
        )
    known = parameter_count(network) + positions(network, text) + seen
    return replace(network, parameters=known, active_parameters=_active(network))


def confirmed(network: Network, text: Configuration, indexed: int, others: float = 0) -> Network:
    """Return the network with the parameters that its files have; refuse if it is not their shape.

    + others: what they may have besides
    """
    # Some files hold the embedding once more, as a head that it is already.
    twice = embeddings(network) if network.tied_embeddings else 0
    own = next((one for one in (indexed, indexed - twice) if _fits(network, text, one, others)), 0)
    if not own:
        counted = parameter_count(network) + positions(network, text)
        raise text.unknown(
            "parameters",
            f"the files have {indexed:,} parameters, and {text.path} multiplies out to {counted:,}",
        )
    return replace(network, parameters=own, active_parameters=_active(network))


def _fits(network: Network, text: Configuration, indexed: int, others: float) -> bool:
    """Return whether a network of this shape may have so many."""
    least = parameter_count(network) + positions(network, text)
    drafting = range(network.layers, network.layers + network.mtp_layers)
    most = least + sum(layer_parameters(network, layer) for layer in drafting) + others
    return least * (1 - _OFF) <= indexed <= most * (1 + _OFF)


def indexes(documents: Documents) -> Iterator[Mapping[str, Any]]:
    """Yield the indexes of the model's files; one in a folder is of something else, or a copy."""
    found = [path for path in documents.json if path.endswith(INDEX)]
    above = [path for path in found if "/" not in path] or found
    for path in sorted(above, key=lambda path: (path != f"model{INDEX}", path)):
        index = documents.json[path]
        if isinstance(index, Mapping):
            yield index


def positions(network: Network, text: Configuration) -> int:
    """Return the parameters of positions that an encoder has learned."""
    if network.gated_feed_forward:
        return 0
    return (text.maybe("context", "max_position_embeddings") or 0) * network.hidden


def _active(network: Network) -> int | None:
    """Return the parameters that one token passes through; None where it passes through all."""
    if not network.experts:
        return None
    experts = sum(routed(network, layer) for layer in range(network.layers))
    unused = experts - experts * network.experts_used // network.experts
    return parameter_count(network) - unused


def _indexed(documents: Documents, text: Configuration) -> list[int]:
    """Return the parameters that an index tells, or its size by the width of a weight.

    That is as config.json has it, or, as some were saved in another, any of the usual ones. A
    quantized checkpoint's bytes say nothing of its parameters, and some tools count packed ones.
    """
    if _is_quantized(documents):
        return []
    for index in indexes(documents):
        metadata = index.get("metadata")
        if not isinstance(metadata, Mapping):
            continue
        said = metadata.get("total_parameters")
        if isinstance(said, int) and not isinstance(said, bool) and said > 0:
            return [said]
        size = metadata.get("total_size")
        # Some tools write it as 1234.0.
        if isinstance(size, float) and size.is_integer():
            size = int(size)
        width = _WIDTHS.get(str(_dtype(documents, text)))
        if isinstance(size, int) and not isinstance(size, bool) and size > 0 and width:
            return [size // each for each in (width, *sorted({*_WIDTHS.values()} - {width}))]
    return []


def _is_quantized(documents: Documents) -> bool:
    parts = [documents.config, *_parts(documents.config)]
    keys = ("quantization_config", "compression_config")
    if any(part.get(key) for part in parts for key in keys):
        return True
    return any(path in documents.json for path in ("hf_quant_config.json", "quantize_config.json"))


def _parts(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [part for part in config.values() if isinstance(part, Mapping)]


def _dtype(documents: Documents, text: Configuration) -> Any:
    keys = ("torch_dtype", "dtype")
    said = (documents.config.get(key) or text.get(key) for key in keys)
    return next((one for one in said if one), None)


def _images(settings: Configuration) -> int | None:
    """Return the parameters of what looks at images; None where the document does not tell.

    Each layer has four square matrices of attention, and two or three of a feed-forward part; what
    merges neighbours has one square matrix of so many, and one to the width of the text.
    """
    if settings.inner("audio_config") is not None:
        return None
    vision = settings.inner("vision_config")
    if vision is None:
        thinker = settings.inner("thinker_config")
        return _images(thinker) if thinker is not None else 0
    depth = _number(vision, "depth", "num_hidden_layers", "vt_num_hidden_layers")
    hidden = _number(vision, "embed_dim", "vt_hidden_size", "hidden_size")
    wide = _number(vision, "vt_intermediate_size", "intermediate_size")
    ratio = vision.get("mlp_ratio")
    if wide is None and hidden and isinstance(ratio, int | float) and 0 < ratio < 100:
        wide = int(hidden * ratio)
    if not depth or not hidden or not wide:
        return None
    kind = str(vision.get("model_type") or settings.get("model_type"))
    matrices = 3 if kind.startswith(_GATED_VISION) else 2
    heads = _number(vision, "qkv_hidden_size") or hidden
    layers = depth * (4 * hidden * heads + matrices * hidden * wide)
    out = _number(vision, "out_hidden_size", "text_hidden_size") or 0
    merged = hidden * (_number(vision, "spatial_merge_size") or 1) ** 2
    deep = vision.get("deepstack_visual_indexes")
    mergers = 1 + (len(deep) if isinstance(deep, list) else 0)
    return layers + (mergers * merged * (merged + out) if out else 0)


def _number(settings: Configuration, *keys: str) -> int | None:
    key = settings.first(*keys)
    value = settings.get(key)
    right = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1_000_000
    return value if right else None
