"""Pins: the typed form of deploys/locks/*.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from deploys.planning.checkpoint.published import Published
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Hub, OriginName


@dataclass(frozen=True, kw_only=True)
class ListedFile:
    """One file of a repository; size in bytes, sha256 in lower case hex.

    The programs on the machine read its JSON as `ListedFile` of deploys/remote/lib/spec.py.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """One hub repository at one revision: a commit, or a branch if the hub does not give one."""

    hub: Hub
    repository: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class WeightsLock:
    """The files of one model at one revision, as listed by a hub.

    + also: other places where the same files were listed with the same digests
    """

    hub: Hub
    repository: str
    revision: str
    files: tuple[ListedFile, ...]
    also: tuple[Place, ...] = ()

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def places(self) -> tuple[Place, ...]:
        """Every place known to have these files, in the order they were found."""
        first = Place(hub=self.hub, repository=self.repository, revision=self.revision)
        return (first, *self.also)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WeightsLock:
        return cls(
            **{
                **data,
                "files": tuple(ListedFile(**file) for file in data["files"]),
                "also": tuple(Place(**place) for place in data.get("also", ())),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it is written to the lock, without `also` if that is empty."""
        entry = {**asdict(self), "files": [asdict(file) for file in self.files]}
        if self.also:
            return {**entry, "also": [asdict(place) for place in self.also]}
        del entry["also"]
        return entry


@dataclass(frozen=True, kw_only=True)
class ArtifactLock:
    """One archive that machines download.

    + path: relative to the origin's URL
    + sha256: of the archive itself, for release files that never change
    + tree_sha256: of the unpacked content (defined in remote/formats/tree.py), for source archives,
      which their hosts may recompress
    """

    version: str
    origin: OriginName
    path: str
    sha256: str | None = None
    tree_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class EnvironmentLock:
    """One requirements file with hashes.

    + digest: of its text, 12 hex digits
    + versions: pinned version of each package
    """

    digest: str
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Locks:
    """All pins.

    + published: what hubs said of models that profiles name by a reference, by the key of that, or
      why it could not be read
    """

    artifacts: Mapping[str, ArtifactLock] = field(default_factory=dict)
    environments: Mapping[str, EnvironmentLock] = field(default_factory=dict)
    weights: Mapping[str, WeightsLock] = field(default_factory=dict)
    published: Mapping[str, Published | Refusal] = field(default_factory=dict)
