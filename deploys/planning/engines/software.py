"""What is installed of an engine: a folder of its own for each version of each way to make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from deploys.planning.engines.builds import Build
from deploys.planning.inputs.locks import ArtifactLock

ENGINES = "/opt/modelrack/engines"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Python packages, from a lock with hashes.

    + name: of the engine; version: of its package in the lock
    + lock: its name in deploys/locks/engines; digest: of its text, 12 hex digits
    + python: version of the interpreter, the machine's own or one that uv fetches
    + imports: modules that must import before the environment counts
    + packages: of the distribution, which its programs need when they run
    + wheels: page or folder with wheels that no package index has; None where all are on one
    + cuda: its packages have a CUDA toolkit, which becomes the folder `cuda` of the environment
    """

    name: str
    version: str
    lock: str
    digest: str
    python: str
    imports: tuple[str, ...]
    packages: tuple[str, ...] = ()
    wheels: str | None = None
    cuda: bool = False
    how: ClassVar[str] = "from a lock of its own"

    @property
    def directory(self) -> str:
        """Where the environment lies on the machine."""
        return f"{ENGINES}/{self.name}/{self.version}-{self.digest}"

    @property
    def smoke(self) -> tuple[str, ...]:
        """What must succeed on the machine before anything is switched to it."""
        imports = "; ".join(f"import {module}" for module in self.imports)
        return (f"{self.directory}/bin/python", "-c", imports)


@dataclass(frozen=True, kw_only=True)
class Release:
    """Programs as their makers publish them: one pinned archive."""

    name: str
    version: str
    archive: ArtifactLock
    how: ClassVar[str] = "as released"

    @property
    def digest(self) -> str:
        """Of the archive, 12 hex digits."""
        return (self.archive.sha256 or self.archive.tree_sha256 or "")[:12]

    @property
    def directory(self) -> str:
        """Where it is unpacked on the machine."""
        return f"{ENGINES}/{self.name}/{self.version}-{self.digest}"

    @property
    def smoke(self) -> tuple[str, ...]:
        """What must succeed on the machine before anything is switched to it."""
        return (f"{self.directory}/bin/{self.name}", "--version")


Software = Build | Environment | Release
