"""What is decided for one machine, as types: stages read them and decide nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from deploys.planning.builds import Build
from deploys.planning.driver import DriverPlan
from deploys.planning.locks import File
from deploys.planning.profile import HostProfile
from deploys.planning.site import Hub, Site


@dataclass(frozen=True, kw_only=True)
class Apt:
    """How packages are installed on this machine.

    + lock_wait: seconds to wait while somebody else holds the package manager
    + mirror, security: archives of this site for this distribution; None leaves apt's own
    + suite: release name in these archives
    """

    lock_wait: int
    mirror: str | None = None
    security: str | None = None
    suite: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dnf:
    """How packages are installed on a machine of the Red Hat family.

    + kind: tells it from Apt where both are data
    + lock_wait: seconds to wait while somebody else holds the package manager
    """

    kind: Literal["dnf"]
    lock_wait: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """One place that a model's files can be fetched from."""

    kind: Hub
    endpoint: str
    repository: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One model on the machine's disk.

    + files: what is fetched; empty while no lock names them
    + size: bytes that are fetched
    + merge: file name that a split GGUF becomes, None to keep files as they are listed
    """

    model: str
    directory: str
    sources: tuple[Source, ...]
    files: tuple[File, ...]
    size: int
    merge: str | None

    @property
    def locked(self) -> bool:
        return bool(self.files)

    @property
    def entry(self) -> str | None:
        """The file that an engine opens; the other shards follow from its name."""
        if self.merge:
            return f"{self.directory}/{self.merge}"
        ggufs = sorted(file.path for file in self.files if file.path.endswith(".gguf"))
        return f"{self.directory}/{ggufs[0]}" if ggufs else None


@dataclass(frozen=True, kw_only=True)
class ServicePlan:
    """One unit that answers on one port of the loopback address.

    + context: tokens of one request; the server is given context times parallel
    + threads: physical cores that compute
    """

    name: str
    engine: str
    unit: str
    model: str
    port: int
    context: int
    parallel: int
    threads: int
    weights: Weights

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """All that is decided for one machine; stages read it and decide nothing.

    + driver: of its GPUs; None on a machine without
    """

    hostname: str
    system: str
    profile: HostProfile
    site: Site
    apt: Apt
    packages: tuple[str, ...]
    builds: tuple[Build, ...]
    weights: tuple[Weights, ...]
    services: tuple[ServicePlan, ...]
    systemd: bool
    driver: DriverPlan | None = None
    warnings: tuple[str, ...] = ()

    def uses(self, engine: str) -> bool:
        return any(service.engine == engine for service in self.services)

    def services_of(self, engine: str) -> tuple[ServicePlan, ...]:
        return tuple(service for service in self.services if service.engine == engine)

    def build_of(self, engine: str) -> Build:
        return next(build for build in self.builds if build.name == engine)

    @property
    def unlocked(self) -> tuple[str, ...]:
        """Models that no lock names yet."""
        return tuple(weights.model for weights in self.weights if not weights.locked)

    def to_json(self) -> dict[str, Any]:
        plan = asdict(self)
        # The operator's own folders are not part of what a machine becomes.
        del plan["site"]["locks"], plan["site"]["builds"]
        plan["builds"] = [
            {**asdict(build), "digest": build.digest, "directory": build.directory}
            for build in self.builds
        ]
        return plan
