"""profile + site + machine + locks -> HostPlan, or a refusal that says the way out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from deploys.planning import builds, catalogue
from deploys.planning.builds import Build
from deploys.planning.driver import DriverPlan
from deploys.planning.driver_choice import driver_plan
from deploys.planning.gpus import named
from deploys.planning.lanes import lane_of
from deploys.planning.locks import Locks, WeightsLock
from deploys.planning.machine import Machine
from deploys.planning.model import Model
from deploys.planning.plan import Apt, HostPlan, ServicePlan, Source, Weights
from deploys.planning.profile import HostProfile, Service
from deploys.planning.refusal import Refusal
from deploys.planning.site import Hub, Site

# Distributions whose package names and units we know, and the oldest release of each that has them.
_SYSTEMS = {"debian": 12, "ubuntu": 22}
# What an archive calls a release; asked for only where a site names a mirror.
_SUITES = {
    ("debian", "12"): "bookworm",
    ("debian", "13"): "trixie",
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
}

_SHARD = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")

# Runtime libraries of the engines; a bare system has the C++ library already, apt needs it.
_RUNTIME_PACKAGES = {"llama.cpp": ("libgomp1",)}

# What a loaded model takes beyond its weights, as a share of them: key-value cache and buffers.
_MEMORY_MARGIN = 1.1
# What a file system must keep free beyond the weights, as a share of them.
_DISK_MARGIN = 1.05


def resolve(profile: HostProfile, site: Site, machine: Machine, locks: Locks) -> HostPlan:
    """The plan of one machine; raises Refusal when it cannot be carried out."""
    _check_engines(profile)
    _check_system(machine)
    _check_ports(profile, machine)
    driver = _driver(profile, site, machine, locks)
    weights = _weights(profile, site, locks)
    _check_disk(weights, machine)
    _check_memory(weights, machine)
    services = tuple(_service(service, weights, machine) for service in profile.services)
    engines = sorted({service.engine for service in services})
    return HostPlan(
        hostname=machine.hostname,
        system=f"{machine.os} {machine.os_version} {machine.architecture}",
        profile=profile,
        site=site,
        apt=_apt(site, machine),
        packages=tuple(
            dict.fromkeys(
                package for engine in engines for package in _RUNTIME_PACKAGES.get(engine, ())
            )
        ),
        builds=tuple(_build(engine, site, machine, locks) for engine in engines),
        weights=weights,
        services=services,
        systemd=machine.systemd,
        driver=driver,
        warnings=(driver.warnings if driver else ())
        + tuple(
            f"{model} is not pinned yet: its files are listed and pinned on the first run"
            for model in (entry.model for entry in weights if not entry.locked)
        ),
    )


def model_of(service: Service) -> Model:
    """The model that a service names, or brings along."""
    if isinstance(service.model, Model):
        return service.model
    return catalogue.model(service.model)


def _check_engines(profile: HostProfile) -> None:
    if profile.gpu is not None:
        named(profile.gpu)
    for service in profile.services:
        model = model_of(service)
        if service.engine != "llama.cpp":
            raise Refusal(
                f"Service {service.name}: this version does not deploy {service.engine} yet",
                "Serve a GGUF model with llama.cpp on a CPU machine, or wait for the engine",
            )
        if profile.gpu is not None:
            raise Refusal(
                f"Service {service.name}: this version builds llama.cpp for the CPU only, and a"
                f" {profile.gpu} would stand idle",
                "Use a profile without a GPU, or wait for the CUDA build",
            )
        if service.replicas not in (None, 1) or service.tensor_parallel is not None:
            raise Refusal(
                f"Service {service.name}: llama.cpp on a CPU runs as one copy on all cores",
                "Leave replicas and tensor_parallel out, and set parallel instead",
            )
        if model.format != "gguf":
            raise Refusal(
                f"Service {service.name}: llama.cpp cannot read {model.key}, which is"
                f" {model.format}",
                "Choose a GGUF variant of the model from deploys/planning/catalogue.py",
            )


def _check_system(machine: Machine) -> None:
    oldest = _SYSTEMS.get(machine.os)
    release = int(re.match(r"\d*", machine.os_version).group() or 0)  # type: ignore[union-attr]
    if oldest is None or release < oldest:
        raise Refusal(
            f"{machine.os} {machine.os_version} is not a system we know",
            "Install Debian 12 or newer, or Ubuntu 22.04 or newer",
        )


def _check_ports(profile: HostProfile, machine: Machine) -> None:
    for service in profile.services:
        owner = machine.ports.get(service.port)
        if owner is not None and owner != _unit(service):
            raise Refusal(
                f"Service {service.name}: port {service.port} is taken by {owner or 'a process'}",
                "Stop that process, or give the service another port",
            )


def _weights(profile: HostProfile, site: Site, locks: Locks) -> tuple[Weights, ...]:
    plans: dict[str, Weights] = {}
    models: dict[str, Model] = {}
    for service in profile.services:
        model = model_of(service)
        if models.setdefault(model.key, model) != model:
            raise Refusal(
                f"Two different models are called {model.key}", "Give one of them another key"
            )
        merged_before = plans[model.key].merge if model.key in plans else None
        lock = locks.weights.get(model.key)
        sources = _sources(model, site, lock)
        if lock is not None and lock.repository not in (model.modelscope, model.huggingface):
            raise Refusal(
                f"{model.key} is pinned to {lock.repository}, which is not where the model is now",
                f"Give the model another key, or remove the entry from {site.locks}/weights.yaml",
            )
        if lock is None and profile.locked:
            raise Refusal(
                f"{model.key} is not pinned in {site.locks / 'weights.yaml'}, and the profile is"
                " locked",
                "Pin it with deploys/lock.py, or set locked=False",
            )
        plans[model.key] = Weights(
            model=model.key,
            directory=f"{site.data_root}/models/{model.key}",
            sources=sources,
            files=lock.files if lock else (),
            size=lock.size if lock else model.size,
            merge=merged_before or _merged_name(service, lock),
        )
    return tuple(plans.values())


def _sources(model: Model, site: Site, lock: WeightsLock | None) -> tuple[Source, ...]:
    """Where the model can come from, the operator's first hub first."""
    repositories: dict[Hub, str | None] = {
        "modelscope": model.modelscope,
        "huggingface": model.huggingface,
    }
    sources = tuple(
        Source(
            kind=hub,
            endpoint=site.url(hub),
            repository=repository,
            # A commit is the name of one hub's history; on the other the hashes must agree.
            revision=lock.revision if lock and lock.hub == hub else _default_revision(model, hub),
        )
        for hub in site.hubs
        if (repository := repositories[hub]) and getattr(site.mirrors, hub)
    )
    if not sources:
        raise Refusal(
            f"{model.key} is on none of the hubs of this site ({', '.join(site.hubs)})",
            "Add a hub to the site in inventories/group_data, or choose another model",
        )
    return sources


def _default_revision(model: Model, hub: Hub) -> str:
    if model.revision != "master":
        return model.revision
    return "main" if hub == "huggingface" else "master"


def _merged_name(service: Service, lock: WeightsLock | None) -> str | None:
    """A split GGUF stays split unless the service asks for one file: llama.cpp reads shards."""
    if not service.merge or lock is None:
        return None
    prefixes = {
        match["prefix"].rsplit("/", 1)[-1]
        for file in lock.files
        if (match := _SHARD.fullmatch(file.path))
    }
    if len(prefixes) > 1:
        raise Refusal(
            f"Service {service.name}: its files belong to several split models: "
            + ", ".join(sorted(prefixes)),
            "Narrow the model's file patterns to one of them",
        )
    return f"{prefixes.pop()}.gguf" if prefixes else None


def _check_disk(weights: Sequence[Weights], machine: Machine) -> None:
    missing: dict[str, int] = {}
    free: dict[str, int] = {}
    for plan in weights:
        disk = machine.disk_of(plan.directory)
        if disk is None:
            continue
        free[disk.mount] = disk.free
        remaining = max(0, plan.size - machine.stored.get(plan.model, 0))
        missing[disk.mount] = missing.get(disk.mount, 0) + int(remaining * _DISK_MARGIN)
    for mount, needed in missing.items():
        if needed > free[mount]:
            raise Refusal(
                f"The weights need {size(needed)} on {mount}, which has {size(free[mount])} free",
                f"Free {size(needed - free[mount], up=True)} there, or set data_root of the site to"
                " a larger file system",
            )


def _check_memory(weights: Sequence[Weights], machine: Machine) -> None:
    needed = int(sum(plan.size for plan in weights) * _MEMORY_MARGIN)
    if needed > machine.memory:
        raise Refusal(
            f"The models need {size(needed)} of memory, the machine has {size(machine.memory)}",
            "Choose a smaller model or quantization",
        )


def _service(service: Service, weights: Sequence[Weights], machine: Machine) -> ServicePlan:
    model = model_of(service)
    return ServicePlan(
        name=service.name,
        engine=service.engine,
        unit=_unit(service),
        model=model.key,
        port=service.port,
        context=min(service.context or 8192, model.context),
        parallel=service.parallel or 4,
        threads=machine.cores,
        weights=next(plan for plan in weights if plan.model == model.key),
    )


def _unit(service: Service) -> str:
    return f"llama-server@{service.name}.service"


def _build(engine: str, site: Site, machine: Machine, locks: Locks) -> Build:
    source = locks.artifacts[engine]
    # Asked for now, so that a site without a way to it is refused now and not half way.
    site.url(source.origin, source.path)
    return builds.llama_cpp(machine, source)


def _driver(profile: HostProfile, site: Site, machine: Machine, locks: Locks) -> DriverPlan | None:
    if profile.gpu is None:
        return None
    gpu = named(profile.gpu)
    compiles = any(service.engine == "llama.cpp" for service in profile.services)
    return driver_plan(
        machine, profile, gpu, lane_of(gpu), site, locks.artifacts, compiles=compiles
    )


def _apt(site: Site, machine: Machine) -> Apt:
    mirrors = {
        "debian": (site.mirrors.debian, site.mirrors.debian_security),
        "ubuntu": (site.mirrors.ubuntu, site.mirrors.ubuntu),
    }
    mirror, security = mirrors[machine.os]
    if mirror is None:
        return Apt(lock_wait=site.apt_lock_wait)
    suite = _SUITES.get((machine.os, machine.os_version))
    if suite is None:
        raise Refusal(
            f"The mirror of this site has {machine.os} {machine.os_version} under a name that we do"
            " not know",
            f"Set mirrors.{machine.os} of the site to None, so that apt's own archive is used",
        )
    return Apt(
        lock_wait=site.apt_lock_wait, mirror=mirror, security=security or mirror, suite=suite
    )


def size(count: float, *, up: bool = False) -> str:
    """Bytes for people, with one digit; rounded up where that much has to be there."""
    unit, name = (2**30, "GiB") if count >= 2**30 else (2**20, "MiB")
    shown = math.ceil(count / unit * 10) / 10 if up else count / unit
    return f"{shown:.1f} {name}"
