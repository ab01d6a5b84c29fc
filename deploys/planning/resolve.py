"""The planner: profile + site + machine + locks -> HostPlan, with refusals for what cannot work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deploys.planning import service_checks as checks
from deploys.planning.adapters import fits
from deploys.planning.checkpoint import read
from deploys.planning.driver.choice import driver_plan
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.engines import installation
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import Environment, FromLock, FromSource
from deploys.planning.gateway import chat
from deploys.planning.gateway.choice import ALONE, Surroundings, gateway_of
from deploys.planning.gateway.firewall import firewall_of
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.group import fabric
from deploys.planning.group import share as group_share
from deploys.planning.group.choice import HostGroup, group_of, grouped, unequal
from deploys.planning.group.members import NOBODY, HostsOfClass
from deploys.planning.group.plan import GroupPlan
from deploys.planning.hardware import cards, gpus, hardware_health, numa, software_stacks
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.machine import Gpu, Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.monitoring.choice import monitoring_of, reserved
from deploys.planning.monitoring.plan import MonitoringPlan
from deploys.planning.monitoring.targets import targets_of
from deploys.planning.package_manager import Apt, check_system, package_manager_of
from deploys.planning.placement import floors
from deploys.planning.placement.allocate import place_all
from deploys.planning.placement.choice import Placement
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


def resolve(
    profile: HostProfile,
    site: Site,
    machine: Machine,
    locks: Locks,
    neighbours: Sequence[Neighbour] = (),
    around: Surroundings = ALONE,
    members: HostsOfClass = NOBODY,
) -> HostPlan:
    """Return the plan of one machine, as complete as possible.

    + neighbours: the other machines that weights may be shared with
    + around: what its gateway depends on beside the machine
    + members: the hosts of its class, of which some may serve a model together with it

    All refusals are collected; a plan with some is printed, and not carried out.
    """
    against = Refusals()
    profile, unknown = read.named(profile, locks, site.locks)
    against.all_of(unknown)
    gpu = against.attempt(None, gpus.named, profile.gpu) if profile.gpu else None
    stack = software_stacks.stack_of(gpu, {service.engine for service in profile.services})
    inputs = Inputs(profile=profile, site=site, machine=machine, locks=locks, gpu=gpu, stack=stack)
    against.attempt(None, check_system, machine)
    own = cards.ours(machine, gpu, profile.gpus)
    against.all_of(hardware_health.refusals(machine, own))
    services, weights = _with_weights(inputs, against)
    units = {checks.unit_of(service) for service in profile.services}
    retired = tuple(unit for unit in machine.served if unit not in units)
    foreground = machine.booted and not machine.systemd
    # What shares weights is a service, too.
    peer = None if foreground else against.attempt(None, peers.peer_of, site, machine)
    weights = peers.with_peers(weights, peer, neighbours)
    for service in services:
        against.all_of(checks.refusals(service, inputs, retired), service.name)
    against.all_of(check_disk(weights, machine), " ".join(each.name for each in services))
    sizes = {entry.model: entry.size for entry in weights}
    shared, group = grouped(profile), None
    if shared:
        of_shared = against.of(shared.name)
        group = of_shared.attempt(None, group_of, shared, profile, members)
    seen = group_share.seen(shared, group, inputs, [*units, *retired])
    placements = place_all(
        [(service, model_of(service), sizes[model_of(service).key]) for service in services],
        gpu,
        seen.cards,
        seen.machine,
        chat.reserved(profile) + reserved(profile),
    )
    if group and group.rank > 0:
        # The head alone answers, so its gateway is that of the group.
        profile = replace(profile, gateway=None)
        inputs = replace(inputs, profile=profile)
    for placement in placements:
        against.all_of(placement.refusals, placement.service)
    driver = _driver(inputs, against)
    software, missing = installation.software_of(services, inputs, driver)
    for each in missing:
        against.all_of([each], each.service)
    # Like those of a service, these do not hold up the machine's own stages.
    against.all_of(chat.refusals(profile, services, machine), "gateway")
    found = _group(group, inputs, placements, driver, against)
    if shared:
        placements = tuple(group_share.share(each, found) for each in placements)
    planned = tuple(
        _service(service, placement, weights, inputs, found)
        for service, placement in zip(services, placements, strict=True)
    )
    gateway, monitoring = _seen_from_beside(inputs, planned, own, around, against)
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
        monitoring=monitoring,
        firewall=against.attempt(None, firewall_of, site, machine, gateway, found),
        refusals=tuple(against.refusals),
        warnings=(
            *(
                warning
                for warning in checks.warnings(services, weights, placements, inputs, driver)
                if warning not in {refusal.reason for refusal in against.refusals}
            ),
            *(fabric.warnings(group.service.name, found, gpu) if group and found else ()),
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


def _seen_from_beside(
    inputs: Inputs,
    services: Sequence[ServicePlan],
    own: Sequence[Gpu],
    around: Surroundings,
    against: Refusals,
) -> tuple[GatewayPlan | None, MonitoringPlan | None]:
    """Return how others reach the machine, and what watches it."""
    against.all_of(around.refusals, "gateway")
    profile, answering = inputs.profile, [service for service in services if service.answers]
    gateway = against.of("gateway").attempt(
        None,
        gateway_of,
        profile.gateway,
        inputs.site,
        inputs.machine,
        answering,
        around,
        profile.monitoring,
        targets_of(answering, gateway=True),
    )
    monitoring = against.of("monitoring").attempt(
        None,
        monitoring_of,
        inputs,
        targets_of(answering, gateway=gateway is not None),
        gateway,
        [card.address for card in own],
        around,
    )
    return gateway, monitoring


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


def _group(
    group: HostGroup | None,
    inputs: Inputs,
    placements: Sequence[Placement],
    driver: DriverPlan | None,
    against: Refusals,
) -> GroupPlan | None:
    """Return what this machine has to know of its group, and refuse machines that differ."""
    placement = next((each for each in placements if group and each.machines > 1), None)
    if group is None or placement is None:
        return None
    service, gpu = group.service, inputs.gpu

    there = [replace(inputs, machine=machine) for machine in group.machines]
    drivers = [_driver(each, Refusals()) for each in there]

    def engine_of(inputs: Inputs, driver: DriverPlan | None) -> str:
        found, _ = installation.software_of([service], inputs, driver)
        engine = next((each for each in found if each.name == service.engine), None)
        python = f" on Python {engine.python}" if isinstance(engine, Environment) else ""
        return f"{engine.name} {engine.version}-{engine.digest}{python}" if engine else ""

    def links_of(machine: Machine) -> str:
        return f"{len(fabric.rdma(machine, gpu))} x {fabric.links(machine, gpu)}"

    same = {
        "drivers": [each.version if each else "" for each in drivers],
        "engines": [*map(engine_of, there, drivers)],
        "links": [*map(links_of, group.machines)],
    }
    against.all_of(unequal(group, gpu, same), service.name)
    return against.of(service.name).attempt(
        None, fabric.plan_of, group, inputs.site, placement, gpu, driver, checks.unit_of(service)
    )


def _service(
    service: Service,
    placement: Placement,
    weights: Sequence[Weights],
    inputs: Inputs,
    group: GroupPlan | None,
) -> ServicePlan:
    model, machine = model_of(service), inputs.machine
    own = cards.ours(machine, inputs.gpu, inputs.profile.gpus)
    fetched = next(plan for plan in weights if plan.model == model.key)
    writes = task_of(service) == "generate"
    return ServicePlan(
        name=service.name,
        engine=service.engine,
        unit=checks.unit_of(service),
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
        cards=cards.addresses(placement.cards, own, machine),
        group=group,
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
