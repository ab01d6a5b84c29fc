"""A model on a hub as it was read there, which its plan is made from: the pin of its documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploys.planning.checkpoint.documents import Documents


@dataclass(frozen=True, kw_only=True)
class Published:
    """What a hub has under a reference, at one revision.

    + reference: as the profile names it
    + revision: a commit, or a branch if the hub does not give one
    + files: size in bytes of every file of the repository, by path
    """

    reference: str
    revision: str
    files: Mapping[str, int]
    documents: Documents

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Published:
        return cls(
            reference=str(data["reference"]),
            revision=str(data["revision"]),
            files={str(path): int(size) for path, size in data["files"].items()},
            documents=Documents.from_json(data["documents"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the pin as it is written to a file."""
        return {
            "reference": self.reference,
            "revision": self.revision,
            "files": dict(self.files),
            "documents": self.documents.to_json(),
        }
