"""The planner: profile + site + machine + locks -> HostPlan, with refusals for what cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploys.planning.adapters import fits
from deploys.planning.checkpoint import read
from deploys.planning.driver.choice import driver_plan
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.engines import compatibility, installation
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import PROGRAMS, FromLock, FromSource
from deploys.planning.gateway import chat
from deploys.planning.gateway.choice import ALONE, Surroundings, gateway_of
from deploys.planning.gateway.firewall import firewall_of
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.hardware import cards, gpus, hardware_health, numa, software_stacks
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.machine import RHEL_LIKE, Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.options import answers, check
from deploys.planning.package_manager import Apt, check_system, package_manager_of
from deploys.planning.placement import floors
from deploys.planning.placement.allocate import place_all
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.interconnect import cards_of
from deploys.planning.placement.users import users
from deploys.planning.plan import AdapterPlan, HostPlan, ServicePlan
from deploys.planning.refusals import Refusals
from deploys.planning.weights import peers
from deploys.planning.weights.peers import Neighbour
from deploys.planning.weights.plan import Weights
from deploys.planning.weights.weights import check_disk, model_of, task_of, weights_of

# Seconds until a server answers: to compile and capture kernels, and to read a byte of its weights
# from a disk that is no fast one.
_TO_START, _TO_READ = 1800, 1 / 300e6
# What a machine without systemd has instead of it (deploys/remote/services/foreground.py).
_SERVE = f"{PROGRAMS} serve"


def resolve(
    profile: HostProfile,
    site: Site,
    machine: Machine,
    locks: Locks,
    neighbours: Sequence[Neighbour] = (),
    around: Surroundings = ALONE,
) -> HostPlan:
    """Return the plan of one machine, as complete as possible.

    + neighbours: the other machines that weights may be shared with
    + around: what its gateway depends on beside the machine

    All refusals are collected, so that the operator sees them at once; a plan with refusals is
    printed but not carried out.
    """
    against = Refusals()
    profile, unknown = read.named(profile, locks, site.locks)
    against.all_of(unknown)
    gpu = against.attempt(None, gpus.named, profile.gpu) if profile.gpu else None
    stack = software_stacks.stack_of(gpu)
    inputs = Inputs(profile=profile, site=site, machine=machine, locks=locks, gpu=gpu, stack=stack)
    against.attempt(None, check_system, machine)
    own = cards.ours(machine, gpu, profile.gpus)
    against.all_of(hardware_health.refusals(machine, own))
    services, weights = _with_weights(inputs, against)
    units = [_unit(service) for service in profile.services]
    retired = tuple(unit for unit in machine.served if unit not in units)
    foreground = machine.booted and not machine.systemd
    # What shares weights is a service, too.
    peer = None if foreground else against.attempt(None, peers.peer_of, site, machine)
    weights = peers.with_peers(weights, peer, neighbours)
    for service in services:
        against.all_of(_refusals(service, inputs, retired), service.name)
    against.all_of(check_disk(weights, machine), " ".join(each.name for each in services))
    sizes = {entry.model: entry.size for entry in weights}
    placements = place_all(
        [(service, model_of(service), sizes[model_of(service).key]) for service in services],
        gpu,
        cards_of(machine, gpu, profile.gpus, ours=[*units, *retired]),
        machine,
        chat.reserved(profile),
    )
    for placement in placements:
        against.all_of(placement.refusals, placement.service)
    driver = _driver(inputs, against)
    software, missing = installation.software_of(services, inputs, driver)
    for refusal in missing:
        against.all_of([refusal], refusal.service)
    # Like those of a service, these do not hold up the machine's own stages.
    against.all_of(chat.refusals(profile, services, machine), "gateway")
    planned = tuple(
        _service(service, placement, weights, inputs)
        for service, placement in zip(services, placements, strict=True)
    )
    gateway = _gateway(inputs, planned, around, against)
    return HostPlan(
        hostname=machine.hostname,
        system=f"{machine.os} {machine.os_version} {machine.architecture}",
        profile=profile,
        site=site,
        stack=stack,
        driver=driver,
        package_manager=against.attempt(
            Apt(lock_wait=site.apt_lock_wait), package_manager_of, site, machine
        ),
        packages=installation.packages(services, software),
        software=software,
        weights=weights,
        services=planned,
        systemd=machine.systemd,
        foreground=foreground,
        cards=tuple(card.address for card in own),
        retired=retired,
        peer=peer,
        gateway=gateway,
        firewall=against.attempt(None, firewall_of, site, machine, gateway),
        refusals=tuple(against.refusals),
        warnings=(
            *(
                warning
                for warning in _warnings(services, weights, placements, inputs, driver)
                if warning not in {refusal.reason for refusal in against.refusals}
            ),
            *peers.unreachable(peer, weights, neighbours),
        ),
    )


def _with_weights(
    inputs: Inputs, against: Refusals
) -> tuple[tuple[Service, ...], tuple[Weights, ...]]:
    """Return the services whose models are available, and these models."""
    services: tuple[Service, ...] = ()
    weights: tuple[Weights, ...] = ()
    profile = inputs.profile
    for service in profile.services:
        if not read.is_named(service):
            continue  # It could not be read, and is refused for that.
        more = (*services, service)
        found = against.of(service.name).attempt(
            None, weights_of, more, inputs.site, inputs.locks, locked=profile.locked
        )
        if found is not None:
            services, weights = more, found
    return services, weights


def _refusals(service: Service, inputs: Inputs, retired: Sequence[str]) -> Iterator[Refusal]:
    machine, gpu, stack = inputs.machine, inputs.gpu, inputs.stack
    owner = machine.ports.get(service.port)
    if owner is not None and owner not in (_unit(service), *retired):
        yield Refusal(
            f"Service {service.name}: port {service.port} is taken by {owner or 'a process'}",
            "Stop that process, or give the service another port",
        )
    yield from compatibility.refusals(service, model_of(service), gpu, stack, machine)
    yield from fits.refusals(service, model_of(service))
    for refusals in (answers.refusals, check.refusals):
        yield from refusals(service, stack.engines.get(service.engine))
    if machine.os in RHEL_LIKE:
        yield Refusal(
            f"Service {service.name}: this version serves models on Debian and Ubuntu, and"
            f" installs only the driver on {machine.os}",
            "Run deploys.stages.nvidia.install there, or install one of these",
        )
    software = ENGINES[service.engine].software
    if (
        isinstance(software, FromSource)
        and gpu is not None
        and gpu.vendor not in software.vendors
        and service.engine in stack.engines
    ):
        vendors = " and ".join(vendor.upper() for vendor in software.vendors)
        yield Refusal(
            f"Service {service.name}: this version builds {service.engine} for CPUs and"
            f" {vendors} GPUs, and the {gpu.name} would sit idle",
            "Serve safetensors with vLLM or SGLang, or use a profile without a GPU",
        )


def _gateway(
    inputs: Inputs, services: Sequence[ServicePlan], around: Surroundings, against: Refusals
) -> GatewayPlan | None:
    # Like those of a service, they do not hold up the machine's own stages.
    against.all_of(around.refusals, "gateway")
    wanted = inputs.profile.gateway
    return against.of("gateway").attempt(
        None, gateway_of, wanted, inputs.site, inputs.machine, services, around
    )


def _driver(inputs: Inputs, against: Refusals) -> DriverPlan | None:
    software = [ENGINES[service.engine].software for service in inputs.profile.services]
    return against.attempt(
        None,
        driver_plan,
        inputs,
        compiles=any(isinstance(each, FromSource) for each in software),
        compiles_later=any(
            recipe.cuda_compiler == "on the machine"
            for each in software
            if isinstance(each, FromLock)
            for recipe in each.recipes.values()
        ),
    )


def _service(
    service: Service, placement: Placement, weights: Sequence[Weights], inputs: Inputs
) -> ServicePlan:
    model, machine = model_of(service), inputs.machine
    fetched = next(plan for plan in weights if plan.model == model.key)
    writes = task_of(service) == "generate"
    return ServicePlan(
        name=service.name,
        engine=service.engine,
        unit=_unit(service),
        model=model.key,
        port=service.port,
        task=task_of(service),
        context=placement.context,
        parallel=placement.parallel,
        performance=service.performance,
        threads=numa.threads(machine, placement.host_memory),
        numa_nodes=machine.numa_nodes if placement.computes_on_host else 1,
        patience=int(_TO_START + fetched.size * _TO_READ),
        min_tokens_per_second=service.min_tokens_per_second
        or (floors.floor(model, fetched.size, placement, inputs.gpu) if writes else None),
        users=users(model, fetched.size, placement, inputs.gpu) if writes else None,
        placement=placement,
        weights=fetched,
        adapters=tuple(
            AdapterPlan(
                name=name,
                asked=fits.name_of(service, name),
                file=adapter.file,
                weights=next(plan for plan in weights if plan.model == adapter.key),
            )
            for name, adapter in sorted(fits.adapters_of(service).items())
        ),
    )


def _unit(service: Service) -> str:
    return ENGINES[service.engine].unit.format(service.name)


def _warnings(
    services: Sequence[Service],
    weights: Sequence[Weights],
    placements: Sequence[Placement],
    inputs: Inputs,
    driver: DriverPlan | None,
) -> tuple[str, ...]:
    machine, gpu, stack = inputs.machine, inputs.gpu, inputs.stack
    found = [*hardware_health.warnings(machine), *compatibility.unknown_gpus(machine, gpu)]
    found += [
        f"{entry.model} is not pinned yet: its files are listed and pinned on the first run"
        for entry in weights
        if not entry.locked
    ]
    for service in services:
        found += compatibility.warnings(service, model_of(service), gpu, stack, machine)
        found += fits.warnings(service, model_of(service))
    for placement in placements:
        found += placement.warnings
    found += driver.warnings if driver else ()
    if machine.booted and not machine.systemd:
        kind = f" in this {machine.container} container" if machine.container else ""
        found += [
            f"There is no systemd{kind}: settings, engine and weights are brought, and the model is"
            f" served while somebody runs: {_SERVE} {unit}"
            for unit in dict.fromkeys(map(_unit, services))
        ]
    found += chat.warnings(inputs.profile)
    return tuple(dict.fromkeys(found))
