"""Installed engines: a directory for each version and each way to build it, and these ways."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.machine import Machine

ENGINES = "/opt/modelrack/engines"
# What units and people call our own programs by; operations call the file behind it.
PROGRAMS = "/opt/modelrack/bin/modelrack.pyz"


@dataclass(frozen=True, kw_only=True)
class Build:
    """One compiled engine, identical on all machines with the same digest.

    + source: pinned archive
    + options: CMake cache entries, NAME=VALUE
    + targets: programs that are built and installed into bin/
    + toolchain: distribution release and architecture, which determine compiler and C library, and
      the CUDA release
    + packages: needed for compiling; installed only on the machine that compiles
    + needs: packages that its programs load at run time, beside those of every build of it
    """

    name: str
    version: str
    source: ArtifactLock
    options: tuple[str, ...]
    targets: tuple[str, ...]
    toolchain: str
    packages: tuple[str, ...]
    needs: tuple[str, ...] = ()
    how: ClassVar[str] = "compiled"

    @property
    def digest(self) -> str:
        """Digest of everything that determines the result, 12 hex digits."""
        decides = asdict(self)
        del decides["packages"], decides["needs"]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def directory(self) -> str:
        """Directory of the installed programs on the machine."""
        return f"{ENGINES}/{self.name}/{self.version}-{self.digest}"

    @property
    def packed(self) -> str:
        """Name of the file that its programs are kept in on the operator's computer."""
        return f"{self.name}-{self.version}-{self.digest}.tar.gz"

    @property
    def smoke(self) -> tuple[str, ...]:
        """Command that must succeed on the machine before anything is switched to this version."""
        return (f"{self.directory}/bin/{self.targets[0]}", "--version")


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """What the engine of an environment would compile when it first needs it, compiled beforehand.

    Identical on all machines with the same digest.

    + directory: of the environment
    + modules: of FlashInfer, by their names in flashinfer.jit
    + compute: capability of the cards that they are for
    + toolchain: distribution release and architecture, which determine compiler and C library
    """

    directory: str
    modules: tuple[str, ...]
    compute: str
    toolchain: str

    @property
    def digest(self) -> str:
        """Digest of everything that determines the result, 12 hex digits."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """Name of the engine, and of what its kernels are packed into."""
        return Path(self.directory).parent.name

    @property
    def stamp(self) -> str:
        """File on the machine that is there once they are."""
        return f"{self.directory}/.kernels-{self.digest}"

    @property
    def packed(self) -> str:
        """Name of the file that they are kept in on the operator's computer."""
        return f"{self.name}-kernels-{self.compute}-{self.digest}.tar.gz"


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
    + kernels: what is compiled in it for the machine's cards before any service starts
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
    kernels: Kernels | None = None
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


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an environment is made from a lock.

    + package: the engine's package in the lock
    + pythons: versions that the lock has hashes for, the preferred first
    + imports: modules that must import even without a GPU, as while an image is built
    + packages: of the distribution: compilers, and libraries that the wheels do not contain
    + wheels: the lock names wheels that no package index has
    + cuda_compiler: which one compiles kernels at run time: that of the CUDA toolkit in the lock,
      or one that the driver's stage installs; None where none does
    + kernels: modules of FlashInfer that every service would compile for itself: a minute and more
      of the first start, or of the first request that needs them
    """

    package: str
    pythons: tuple[str, ...] = ("3.12",)
    imports: tuple[str, ...]
    packages: tuple[str, ...] = ("g++",)
    wheels: bool = False
    cuda_compiler: Literal["in the lock", "on the machine"] | None
    kernels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FromLock:
    """An engine that is Python packages, from the lock that the software stack names.

    + recipes: by the name of the lock
    """

    recipes: Mapping[str, Recipe]


@dataclass(frozen=True, kw_only=True)
class FromSource:
    """An engine that is compiled on the machine, from one pinned archive.

    + build: what is compiled, for a machine, from an archive, for GPUs and a CUDA release; None and
      None for a CPU build, and GPUs alone for one that reaches them through Vulkan
    + packages: of the distribution, that its programs need at run time
    """

    build: Callable[[Machine, ArtifactLock, Accelerator | None, str | None], Build]
    packages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FromRelease:
    """An engine that is installed as released, from one pinned archive.

    + release: what is installed, for a machine, from an archive, for GPUs
    + packages: of the distribution, that unpack it or that its programs need at run time
    """

    release: Callable[[Machine, ArtifactLock, Accelerator | None], Release]
    packages: tuple[str, ...]
