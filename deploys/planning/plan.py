"""The plan of one machine, as types; stages read it and make no decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from deploys.planning.driver.plan import DriverPlan
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import Software
from deploys.planning.gateway.firewall import FirewallPlan
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.group.plan import GroupPlan
from deploys.planning.hardware.gpus import ACCELERATORS, Accelerator
from deploys.planning.hardware.software_stacks import SoftwareStack
from deploys.planning.image.state import without_addresses
from deploys.planning.inputs.profile import HostProfile, Performance, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.models.shapes import Task
from deploys.planning.monitoring.plan import MonitoringPlan
from deploys.planning.package_manager import PackageManager
from deploys.planning.placement.choice import Placement
from deploys.planning.weights.plan import PeerServer, Weights

# Fields of a site that are the operator's own files and folders.
_OF_OPERATOR = ("locks", "builds", "tokens", "bundle", "signers", "secrets", "restore")


@dataclass(frozen=True, kw_only=True)
class AdapterPlan:
    """One LoRA adapter of a service.

    + asked: what a request names as its model to have it; None where every answer has it
    + file: path of its weights in their directory
    """

    name: str
    asked: str | None
    file: str
    weights: Weights

    @property
    def path(self) -> str:
        """Where its weights lie."""
        return f"{self.weights.directory}/{self.file}"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "asked": self.asked, "path": self.path}


@dataclass(frozen=True, kw_only=True)
class ServicePlan:
    """One model, served on one port of the loopback address.

    + task: what it is asked; where, says planning/gateway/paths.py
    + context: tokens per request; the server is given context times parallel
    + performance: what its settings optimize for
    + threads: physical cores used for computation
    + numa_nodes: NUMA nodes that these threads are spread over; 1 if the GPUs do the work
    + patience: seconds it may take until it answers
    + min_tokens_per_second: tokens per second that a single request must reach; None if unknown
    + users: how many of them get so many tokens per second each, by that; None if unknown
    + placement: the GPUs it gets, how the model is split over them, and the memory that takes
    + cards: PCI addresses of its cards on this machine, in the order of their numbers
    + group: the machines that serve it together; None where this one does alone
    + adapters: sorted by name
    """

    name: str
    engine: str
    unit: str
    model: str
    port: int
    task: Task
    context: int
    parallel: int
    performance: Performance
    threads: int
    numa_nodes: int
    patience: int
    min_tokens_per_second: float | None
    users: Mapping[int, int] | None
    placement: Placement
    weights: Weights
    cards: tuple[str, ...] = ()
    adapters: tuple[AdapterPlan, ...] = ()
    group: GroupPlan | None = None

    @property
    def fetched(self) -> tuple[Weights, ...]:
        """All weights that it loads: those of its model and of its adapters."""
        return (self.weights, *(adapter.weights for adapter in self.adapters))

    @property
    def adapter_names(self) -> tuple[str, ...]:
        """What requests name as their model to have an adapter, where they can."""
        return tuple(adapter.asked for adapter in self.adapters if adapter.asked)

    @property
    def answers(self) -> bool:
        """Whether it is this machine that answers, and not another of its group."""
        return self.group is None or self.group.is_head

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def served(self) -> str:
        """The model id that the API reports."""
        return ENGINES[self.engine].model_id.format(self.name)

    @property
    def measured(self) -> str:
        """File on the machine that records its throughput after its last start."""
        return f"/var/lib/modelrack/services/{self.name}.json"

    def to_json(self) -> dict[str, Any]:
        data = {
            **vars(self),
            "measured": self.measured,
            "placement": self.placement.to_json(),
            "weights": asdict(self.weights),
            "adapters": [adapter.to_json() for adapter in self.adapters],
        }
        del data["group"]
        return {**data, "group": asdict(self.group)} if self.group else data


@dataclass(frozen=True, kw_only=True)
class HostPlan:
    """All that is decided for one machine; stages read it and decide nothing.

    + stack: versions that go together on this kind of GPU
    + driver: what the GPUs need to work; None without GPUs, or where it is refused
    + foreground: no systemd is there to run the services, and it is no image: somebody has to
    + cards: PCI addresses of the GPUs that are ours, where the machine may have more
    + retired: units that an earlier run has set up for services which are planned no more
    + peer: None where weights are not shared
    + gateway: None where nobody but the machine itself reaches its services
    + monitoring: None where nothing watches it
    + firewall: what other machines may reach; None where that is not limited
    + refusals: why it is not carried out; those of a service do not hold up the machine's stages
    """

    hostname: str
    system: str
    profile: HostProfile
    site: Site
    stack: SoftwareStack
    driver: DriverPlan | None
    package_manager: PackageManager
    packages: tuple[str, ...]
    software: tuple[Software, ...]
    weights: tuple[Weights, ...]
    services: tuple[ServicePlan, ...]
    systemd: bool
    foreground: bool = False
    cards: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    peer: PeerServer | None = None
    gateway: GatewayPlan | None = None
    monitoring: MonitoringPlan | None = None
    firewall: FirewallPlan | None = None
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_tree(self) -> bool:
        """Whether it is of an image that is built, not of a machine that runs."""
        return not self.systemd and not self.foreground

    @property
    def gpu(self) -> Accelerator | None:
        """The accelerator of its profile; None for CPU only, and for a name that is unknown."""
        named = self.profile.gpu
        return named if isinstance(named, Accelerator) else ACCELERATORS.get(named or "")

    def uses(self, engine: str) -> bool:
        return any(service.engine == engine for service in self.services)

    def services_of(self, engine: str) -> tuple[ServicePlan, ...]:
        return tuple(service for service in self.services if service.engine == engine)

    def wanted_of(self, service: ServicePlan) -> Service:
        """Return what the profile says of a service: the settings that no decision changes."""
        return next(each for each in self.profile.services if each.name == service.name)

    def software_of(self, engine: str) -> Software:
        return next(each for each in self.software if each.name == engine)

    @property
    def unlocked(self) -> tuple[str, ...]:
        """Models without a lock entry."""
        return tuple(weights.model for weights in self.weights if not weights.locked)

    def to_json(self) -> dict[str, Any]:
        plan = asdict(replace(self, services=(), gateway=None, monitoring=None, refusals=()))
        # The operator's own folders are not part of what a machine becomes.
        for folder in _OF_OPERATOR:
            del plan["site"][folder]
        if plan["profile"]["gateway"]:
            del plan["profile"]["gateway"]["keys"], plan["profile"]["gateway"]["certificate"]
        del plan["profile"]["monitoring"]
        plan["gateway"] = self.gateway.to_json() if self.gateway else None
        plan["monitoring"] = self.monitoring.to_json() if self.monitoring else None
        for wanted in plan["profile"]["services"]:
            if wanted["chat_template"]:
                wanted["chat_template"] = wanted["chat_template"].name
            for name, adapter in (wanted["adapters"] or {}).items():
                wanted["adapters"][name] = adapter if isinstance(adapter, str) else adapter["key"]
        plan["software"] = [
            {**asdict(each), "digest": each.digest, "directory": each.directory}
            for each in self.software
        ]
        plan["services"] = [service.to_json() for service in self.services]
        plan["refusals"] = [refusal.to_json() for refusal in self.refusals]
        return plan

    def deployed(self) -> dict[str, Any]:
        """Return the plan as it is recorded once carried out; the same in every later run."""
        plan = self.to_json()
        del plan["refusals"], plan["warnings"], plan["stack"], plan["retired"]
        # Those that no service has may be others the next time.
        del plan["cards"]
        # Which machines there are beside this one says nothing of what it has become.
        for weights in (*plan["weights"], *(each["weights"] for each in plan["services"])):
            del weights["peers"]
        if plan["gateway"]:
            del plan["gateway"]["peers"], plan["gateway"]["machines"]
        if plan["monitoring"]:
            del plan["monitoring"]["machines"], plan["monitoring"]["size"]
        for service in plan["services"]:
            chosen = service["placement"]
            del chosen["ledger"], chosen["reasons"], chosen["warnings"], chosen["refusals"]
        if self.driver:
            plan["driver"] = {"version": self.driver.version, "flavour": self.driver.flavour}
        return without_addresses(plan) if self.is_tree else plan

    def deployed_of(self, engine: str) -> dict[str, Any]:
        """Return the part of deployed() that concerns one engine."""
        plan = self.deployed()
        return {
            "software": [each for each in plan["software"] if each["name"] == engine],
            "services": [each for each in plan["services"] if each["engine"] == engine],
        }
