"""What the tensors of a LoRA adapter say: which matrices it adapts, of which shape and rank.

PEFT writes `...layers.0.self_attn.q_proj.lora_A.weight` of [rank, inputs] and `lora_B` of [outputs,
rank]. llama.cpp's converter writes `blk.0.attn_q.weight.lora_a`, and shapes the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

_PEFT = re.compile(r"(?P<module>.+)\.lora_(?:embedding_)?(?P<side>[AB])(?:\.default)?(?:\.weight)?")
_GGUF = re.compile(r"(?P<module>.+)\.weight\.lora_(?P<side>[ab])")
_LAYER = re.compile(r"(?:^|\.)(?:layers|blocks|h|blk)\.(\d{1,6})\.")
# What looks at images or listens has layers of its own.
_TOWER = re.compile(r"(?:^|\.)(?:visual|vision_\w+|audio_\w+|multi_modal_projector|v|mm)\.")
# Names that are told of what is neither side of a pair.
_TOLD = 5


def of_peft(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return what the tensors of a PEFT file say, by their shapes."""
    return _summary(_PEFT, {name: tuple(shape)[::-1] for name, shape in shapes.items()})


def of_gguf(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return what the tensors of a GGUF say, by their shapes, which begin with the inputs."""
    return _summary(_GGUF, shapes)


def _summary(pattern: re.Pattern[str], shapes: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """Return {"modules": [[name, inputs, outputs, rank, count]...], "layers", "others"}.

    `count` is how many matrices are of that kind, each expert for itself, `layers` one more than
    the last layer of text that is named, and `others` the first names that belong to no pair.
    """
    sides: dict[str, dict[str, Sequence[int]]] = {}
    others = []
    for name, shape in shapes.items():
        found = pattern.fullmatch(name)
        if found is None or len(shape) < 2:
            others.append(name)
            continue
        sides.setdefault(found["module"], {})[found["side"].lower()] = shape
    counts: dict[tuple[str, int, int, int], int] = {}
    layers = 0
    for module, pair in sides.items():
        if pair.keys() != {"a", "b"} or pair["a"][1] != pair["b"][0]:
            others.append(module)
            continue
        kind = (_kind(module), pair["a"][0], pair["b"][1], pair["a"][1])
        counts[kind] = counts.get(kind, 0) + prod(pair["a"][2:])
        if (layer := _LAYER.search(module)) and not _TOWER.search(module):
            layers = max(layers, int(layer[1]) + 1)
    modules = [[*kind, count] for kind, count in sorted(counts.items())]
    return {"modules": modules, "layers": layers, "others": others[:_TOLD]}


def _kind(module: str) -> str:
    """Return the name of a matrix without its place: `q_proj`, `experts.up_proj`, `tower.fc1`."""
    last = module.rpartition(".")[2]
    if _TOWER.search(module):
        return f"tower.{last}"
    return f"experts.{last}" if ".experts." in module and last != "experts" else last
