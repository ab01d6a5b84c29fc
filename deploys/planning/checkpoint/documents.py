"""What a repository says of its weights: its JSON documents and the headers of its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# What has such an architecture is no model of its own: what looks at images.
_PROJECTOR = "clip"


@dataclass(frozen=True, kw_only=True)
class Documents:
    """The documents of one repository at one revision, as they were read.

    + json: content of each JSON document that sizing, parsers and formats are read from, by its
      path: config.json, generation_config.json, tokenizer_config.json, modules.json,
      hf_quant_config.json, *.safetensors.index.json ...
    + gguf: metadata of the selected GGUF files, by path: keys and values as in the file, but of an
      array {"length": n}, with "values" where they are few numbers
    + adapter: what the tensors of adapter_model.safetensors say (deploys/remote/formats/lora.py);
      None where it was not read
    + template: the chat template, from wherever it is; None without one
    + licence: as the hub or the metadata calls it; None if neither says it
    """

    json: Mapping[str, Any] = field(default_factory=dict)
    gguf: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    adapter: Mapping[str, Any] | None = None
    template: str | None = None
    licence: str | None = None

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json; empty if there is none."""
        found = self.json.get("config.json")
        return found if isinstance(found, Mapping) else {}

    @property
    def gguf_parts(self) -> tuple[Mapping[str, Any], ...]:
        """Metadata of the files that hold the model, without a projector's."""
        return tuple(
            part
            for part in self.gguf.values()
            if isinstance(part, Mapping) and part.get("general.architecture") != _PROJECTOR
        )

    @property
    def weights(self) -> Mapping[str, Any]:
        """Metadata of a model's GGUF files, of which the first part of several has all."""
        named = (part for part in self.gguf_parts if "general.architecture" in part)
        return next(named, {})

    @property
    def has_projector(self) -> bool:
        """Whether one of the GGUF files is what looks at images."""
        return len(self.gguf_parts) < sum(isinstance(each, Mapping) for each in self.gguf.values())

    @property
    def architecture(self) -> str | None:
        """As config.json or a GGUF header names it; the model_type where it names none."""
        config = self.config
        said = config.get("architectures")
        named = said[0] if isinstance(said, list) and said else config.get("model_type")
        named = named if self.config else self.weights.get("general.architecture")
        return named if isinstance(named, str) else None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Documents:
        lines = data.get("template")
        return cls(
            json=data.get("json", {}),
            gguf=data.get("gguf", {}),
            adapter=data.get("adapter"),
            template=None if lines is None else "".join(lines),
            licence=data.get("licence"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what a pin keeps: without what is empty, and the template line by line."""
        lines = None if self.template is None else self.template.splitlines(keepends=True)
        found = {
            "json": self.json,
            "gguf": self.gguf,
            "adapter": self.adapter,
            "template": lines,
            "licence": self.licence,
        }
        return {name: value for name, value in found.items() if value not in (None, {})}
