"""The type, ownership and content of paths."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Literal

from pyinfra.api import FactBase

Kind = Literal["directory", "file", "link", "other"]
_KINDS: dict[str, Kind] = {"d": "directory", "f": "file", "l": "link"}


@dataclass(frozen=True)
class Found:
    """One path; mode as octal digits without leading zeros, size in bytes, target for links."""

    kind: Kind
    mode: str
    user: str
    group: str
    size: int
    target: str | None = None
    sha256: str | None = None

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


class Entries(FactBase[dict[str, Found]]):
    """
    Return what exists at each of ``paths``; missing paths are left out.

    + paths: absolute paths
    + hashed: also read the files and give their sha256
    """

    default = dict

    def command(self, paths: tuple[str, ...], hashed: bool = False) -> str:
        quoted = " ".join(shlex.quote(path) for path in paths)
        command = f"find {quoted} -maxdepth 0 -printf '%y|%m|%u|%g|%s|%l|%p\\n'"
        if hashed:
            command += " -type f -exec sha256sum {} +"
        # Missing paths make it fail, which is an answer here.
        return f"{command} 2>/dev/null; true"

    def process(self, output: list[str]) -> dict[str, Found]:
        hashes: dict[str, str] = {}
        found: dict[str, Found] = {}
        for line in output:
            if line[1:2] == "|":
                kind, mode, user, group, size, target, path = line.split("|", 6)
                known = _KINDS.get(kind, "other")
                found[path] = Found(known, mode, user, group, int(size), target or None)
            else:
                digest, path = line.split("  ", 1)
                hashes[path] = digest
        return {path: replace(entry, sha256=hashes.get(path)) for path, entry in found.items()}
