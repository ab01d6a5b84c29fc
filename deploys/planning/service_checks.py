"""What speaks against a service on a machine, and what its operator must know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploys.planning.adapters import fits
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.engines import compatibility
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import PROGRAMS
from deploys.planning.gateway import chat
from deploys.planning.hardware import hardware_health
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.machine import RHEL_LIKE
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.options import answers, check
from deploys.planning.placement.choice import Placement
from deploys.planning.weights.plan import Weights
from deploys.planning.weights.weights import model_of

# What a machine without systemd has instead of it (deploys/remote/services/foreground.py).
_SERVE = f"{PROGRAMS} serve"


def unit_of(service: Service) -> str:
    """Return the name of the unit that serves it."""
    return ENGINES[service.engine].unit.format(service.name)


def refusals(service: Service, inputs: Inputs, retired: Sequence[str]) -> Iterator[Refusal]:
    """Yield what speaks against a service, whatever its place.

    + retired: units of services that are planned no more
    """
    machine, gpu, stack = inputs.machine, inputs.gpu, inputs.stack
    owner = machine.ports.get(service.port)
    if owner is not None and owner not in (unit_of(service), *retired):
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


def warnings(
    services: Sequence[Service],
    weights: Sequence[Weights],
    placements: Sequence[Placement],
    inputs: Inputs,
    driver: DriverPlan | None,
) -> tuple[str, ...]:
    """Return what the operator of a machine must know of its services."""
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
            for unit in dict.fromkeys(map(unit_of, services))
        ]
    found += chat.warnings(inputs.profile)
    return tuple(dict.fromkeys(found))
