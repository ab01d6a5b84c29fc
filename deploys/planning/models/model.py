"""One set of weights of a network: its sources, its files, and what sizing needs of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Literal

from deploys.planning.checkpoint.quantization import canonical
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.shapes import Network

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")

Format = Literal["gguf", "safetensors"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """One set of weights in one quantization.

    + key: name in inventories, and of the folder below <data_root>/models
    + network: what it is the weights of
    + quantization: as llama-quantize calls a GGUF (Q4_K_M), and as remote/formats has the names of
      safetensors (quantization_names.py), in any spelling
    + scale_group: weights in a row that share a scale, so that no two cards share them; 1 where a
      whole row has one, None for what is usual of the quantization
    + modelscope, huggingface: repository on each hub; None where it is not published
    + files: patterns (fnmatch on the whole path) that select exactly this variant
    + projector: pattern of the one GGUF file beside it that lets it see images (mmproj-*.gguf);
      None where prompts hold none, and of safetensors, which have that part in them
    + projector_size: bytes of that file, which are part of size
    + revision: commit of the repository; "master" until the first run has pinned one
    + size: bytes of the selected files, as published; the lock replaces it by the listed sum
    + legacy_cache: MLA weights in a GGUF from before llama.cpp cached the latent vector (April
      2025), which keep the keys and values of all heads instead
    + source: where the figures come from
    + confirmed: the hub was seen to list these files; otherwise the first lock run confirms it
    """

    key: str
    title: str
    network: Network
    format: Format
    quantization: str
    scale_group: int | None = None
    modelscope: str | None = None
    huggingface: str | None = None
    files: tuple[str, ...]
    projector: str | None = None
    projector_size: int = 0
    revision: str = "master"
    size: int
    legacy_cache: bool = False
    source: str
    confirmed: bool = False

    def __new__(cls, **given: Any) -> Model:
        """Raise Refusal if the shape of the network is given beside it."""
        own = {field.name for field in fields(cls)}
        shape = [field.name for field in fields(Network) if field.name not in own]
        if flat := [name for name in given if name in shape]:
            raise Refusal(
                f"Model {given.get('key')} gives {', '.join(flat)} beside its network",
                "Write network=Network(name=..., "
                + ", ".join(f"{name}=..." for name in flat if name != "name")
                + ") instead; Network comes from deploys.planning.models.shapes",
            )
        return super().__new__(cls)

    @property
    def images(self) -> bool:
        """Whether prompts may hold images."""
        return self.network.images and (self.format == "safetensors" or self.projector is not None)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns of all that is fetched."""
        return (*self.files, *((self.projector,) if self.projector else ()))

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise Refusal(
                f"{self.key!r} cannot be the key of a model, as it names a folder",
                "Use lower case letters, digits, dots, dashes and underscores",
            )
        name = self.quantization
        spelled = canonical(name) if self.format == "safetensors" else name.strip().upper()
        object.__setattr__(self, "quantization", spelled)
