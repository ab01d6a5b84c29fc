"""What a repository says of its weights: its JSON documents and the headers of its GGUF files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Documents:
    """The documents of one repository at one revision, as they were read.

    + json: content of each JSON document that sizing, parsers and formats are read from, by its
      path: config.json, generation_config.json, tokenizer_config.json, modules.json,
      hf_quant_config.json, *.safetensors.index.json ...
    + gguf: metadata of the selected GGUF files, by path: keys and values as in the file, but of an
      array only its length, as {"length": n}
    + template: the chat template, from wherever it is; None without one
    + licence: as the hub or the metadata calls it; None if neither says it
    """

    json: Mapping[str, Any] = field(default_factory=dict)
    gguf: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    template: str | None = None
    licence: str | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json; empty if there is none."""
        found = self.json.get("config.json")
        return found if isinstance(found, Mapping) else {}
