"""The plan of a machine's monitoring, as types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deploys.planning.inputs.monitoring import Monitoring

ScrapedKind = Literal["node", "gateway", "usage", "engine"]

# Of the loopback address: what looks, what is looked at, what tells people, and what brings it to
# them in the form that they read.
PROMETHEUS, NODE, ALERTMANAGER, NOTIFIER = 9090, 9100, 9093, 8407
# Bytes that all of it takes at most, and that services of the machine leave to it.
MEMORY = 2 << 30
# What programs of ours say of the machine, a file each: node exporter reads them.
METRICS = "/var/lib/modelrack/metrics"
FOLDER = "/etc/modelrack/monitoring"
# With addresses and passwords, 0600, of root.
SECRETS = "/etc/modelrack/secrets"


@dataclass(frozen=True, kw_only=True)
class ScrapeTarget:
    """One place of a machine that metrics are read from.

    + job: what kind of metrics
    + name: of this place on the machine, in the path that another machine asks for it at
    + port, path: on its loopback address
    + labels: what all its metrics are called by, beside the machine
    """

    job: ScrapedKind
    name: str
    port: int
    path: str = "/metrics"
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WatchedMachine:
    """Another machine, whose gateway gives its metrics to this one."""

    name: str
    address: str
    targets: tuple[ScrapeTarget, ...]


@dataclass(frozen=True, kw_only=True)
class MonitoringPlan:
    """The monitoring of one machine.

    + name: of this machine in the inventory
    + wanted: what its profile says
    + by: the other machine that watches it; None: it watches itself
    + targets: where its own metrics are
    + machines: others that it watches
    + vendor: of its cards; None where it has none
    + cards: their PCI addresses
    + models: folder with the weights
    + certificates: files with those that must not run out
    + size: bytes that its metrics take at most, where it watches
    """

    name: str
    wanted: Monitoring
    by: str | None
    targets: tuple[ScrapeTarget, ...]
    machines: tuple[WatchedMachine, ...] = ()
    vendor: str | None = None
    cards: tuple[str, ...] = ()
    models: str = ""
    certificates: tuple[str, ...] = ()
    size: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return what is shown and recorded of it; files of the operator's are not."""
        wanted = {name: vars(self.wanted)[name] for name in ("viewers", "days", "interval")}
        return {
            "by": self.by,
            **wanted,
            "targets": [f"{each.name} on {each.port}{each.path}" for each in self.targets],
            "machines": [each.name for each in self.machines],
            "size": self.size,
        }
