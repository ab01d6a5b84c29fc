"""One LoRA adapter: its files, and which matrices of a network it adapts."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.models.model import Format


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Matrices of one kind, as an adapter has them.

    + name: as its files call them, without the place: `q_proj`, `experts.up_proj`, `attn_q`
    + count: of all layers together, each expert for itself
    """

    name: str
    inputs: int
    outputs: int
    rank: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One adapter as its hub has it.

    + key: of its pins, and of its folder below <data_root>/models
    + modelscope, huggingface: repository on its hub; None on the other
    + files: patterns (fnmatch on the whole path) that select it
    + file: path of its weights
    + alpha: strength; over the rank it is what the product of a pair is multiplied by
    + base: the model that it was trained on, as its documents name it; None if they do not
    + architecture: of that model, as GGUF calls it; None of safetensors
    + layers: one more than the last layer that it adapts
    + by_pattern: its documents name what it adapts by a pattern, and not by a list
    """

    key: str
    title: str
    format: Format
    modelscope: str | None = None
    huggingface: str | None = None
    files: tuple[str, ...]
    file: str
    revision: str
    size: int
    alpha: float
    base: str | None = None
    architecture: str | None = None
    layers: int
    by_pattern: bool = False
    matrices: tuple[Matrix, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns of all that is fetched."""
        return self.files

    @property
    def rank(self) -> int:
        """The largest of its matrices."""
        return max(matrix.rank for matrix in self.matrices)
