"""What is pinned: the typed form of deploys/locks/*.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from deploys.planning.site import Hub, Origin


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a repository; size in bytes, sha256 in lower case hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class WeightsLock:
    """The files of one model at one revision, as a hub listed them."""

    hub: Hub
    repository: str
    revision: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WeightsLock:
        return cls(**{**data, "files": tuple(File(**file) for file in data["files"])})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "files": [asdict(file) for file in self.files]}


@dataclass(frozen=True, kw_only=True)
class ArtifactLock:
    """One archive that machines download.

    + path: below the origin's address
    + sha256: of the archive itself, for release files that never change
    + tree_sha256: of the unpacked content (remote/artifact.py says how), for source archives: their
      hosts pack them anew with other compression
    """

    version: str
    origin: Origin
    path: str
    sha256: str | None = None
    tree_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Locks:
    """Everything that is pinned."""

    artifacts: Mapping[str, ArtifactLock] = field(default_factory=dict)
    weights: Mapping[str, WeightsLock] = field(default_factory=dict)
