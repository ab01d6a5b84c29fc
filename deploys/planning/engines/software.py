"""Installed engines: a directory for each version and each way to build it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import ClassVar

from deploys.planning.inputs.locks import ArtifactLock

ENGINES = "/opt/modelrack/engines"


@dataclass(frozen=True, kw_only=True)
class Build:
    """One compiled engine, identical on all machines with the same digest.

    + source: pinned archive
    + options: CMake cache entries, NAME=VALUE
    + targets: programs that are built and installed into bin/
    + toolchain: distribution release and architecture, which determine compiler and C library, and
      the CUDA release
    + packages: needed for compiling; installed only on the machine that compiles
    """

    name: str
    version: str
    source: ArtifactLock
    options: tuple[str, ...]
    targets: tuple[str, ...]
    toolchain: str
    packages: tuple[str, ...]
    how: ClassVar[str] = "compiled"

    @property
    def digest(self) -> str:
        """Digest of everything that determines the result, 12 hex digits."""
        decides = asdict(self)
        del decides["packages"]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def directory(self) -> str:
        """Directory of the installed programs on the machine."""
        return f"{ENGINES}/{self.name}/{self.version}-{self.digest}"

    @property
    def smoke(self) -> tuple[str, ...]:
        """Command that must succeed on the machine before anything is switched to this version."""
        return (f"{self.directory}/bin/{self.targets[0]}", "--version")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Python packages, from a lock with hashes.

    + name: of the engine; version: of its package in the lock
    + lock: its name in deploys/locks/engines; digest: of its text, 12 hex digits
    + python: version of the interpreter, the machine's own or one that uv fetches
    + imports: modules that must import before the environment counts as installed
    + packages: distribution packages that its programs need at run time
    + wheels: page or directory with wheels that no package index has; None if all are on the index
    + cuda: its packages contain a CUDA toolkit, which becomes the environment's `cuda` directory
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
        """Directory of the environment on the machine."""
        return f"{ENGINES}/{self.name}/{self.version}-{self.digest}"

    @property
    def smoke(self) -> tuple[str, ...]:
        """Command that must succeed on the machine before anything is switched to this version."""
        imports = "; ".join(f"import {module}" for module in self.imports)
        return (f"{self.directory}/bin/python", "-c", imports)


@dataclass(frozen=True, kw_only=True)
class Release:
    """Programs as released upstream: one pinned archive."""

    name: str
    version: str
    archive: ArtifactLock
    how: ClassVar[str] = "as released"

    @property
    def digest(self) -> str:
        """Digest of the archive, 12 hex digits."""
        return (self.archive.sha256 or self.archive.tree_sha256 or "")[:12]

    @property
    def directory(self) -> str:
        """Directory it is unpacked into on the machine."""
        return f"{ENGINES}/{self.name}/{self.version}-{self.digest}"

    @property
    def smoke(self) -> tuple[str, ...]:
        """Command that must succeed on the machine before anything is switched to this version."""
        return (f"{self.directory}/bin/{self.name}", "--version")


Software = Build | Environment | Release
