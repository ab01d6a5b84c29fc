"""One set of weights: where it comes from, which files it is, and the numbers sizing needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from deploys.planning.refusal import Refusal

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")

Format = Literal["gguf", "safetensors"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """One set of weights in one quantization.

    + key: name in inventories, and of the folder below <data_root>/models
    + modelscope, huggingface: repository on each hub; None where it is not published
    + files: patterns (fnmatch on the whole path) that select exactly this variant
    + revision: commit of the repository; "master" until the first run has pinned one
    + size: bytes of the selected files, as published; the lock replaces it by the listed sum
    + parameters, active_parameters: weights of the network, and those one token passes through
    + layers .. rope_head_dim: shape of the network, as in its config.json; kv_lora_rank and
      rope_head_dim are set where attention is MLA
    + context: tokens the network was trained for
    + source: where the figures come from
    + confirmed: the hub was seen to list these files; otherwise the first lock run confirms it
    """

    key: str
    title: str
    format: Format
    quantization: str
    modelscope: str | None = None
    huggingface: str | None = None
    files: tuple[str, ...]
    revision: str = "master"
    size: int
    parameters: int
    active_parameters: int | None = None
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    context: int
    licence: str
    source: str
    confirmed: bool = False

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise Refusal(
                f"{self.key!r} cannot be the key of a model, as it names a folder",
                "Use lower case letters, digits, dots, dashes and underscores",
            )
