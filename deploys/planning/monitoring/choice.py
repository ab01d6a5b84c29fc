"""What is watched of a machine, and by which one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploys.planning import unit_names
from deploys.planning.gateway.choice import Surroundings
from deploys.planning.gateway.plan import CERTIFICATE, MACHINE_CERTIFICATE, GatewayPlan
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.monitoring.plan import (
    ALERTMANAGER,
    MEMORY,
    NODE,
    NOTIFIER,
    PROMETHEUS,
    MonitoringPlan,
    ScrapeTarget,
)
from deploys.planning.quantity import human

# Series of each kind of place, at most: a machine of the lab has 300 and a gateway with two models
# 110; 30 users of 4 models are counted, and the histograms of the engine that has most.
_SERIES = {"node": 900, "gateway": 300, "usage": 700, "engine": 900}
# Bytes of a sample, compressed, with the index and what is not compacted yet.
# Source: Prometheus' documents, Storage, "Operational aspects": 1 to 2 bytes.
_SAMPLE = 2
_DAY = 24 * 60 * 60
# What is there before the first day is over.
_LEAST = 512 << 20
_ROOT = "/var/lib"


def reserved(profile: HostProfile) -> int:
    """Return the bytes of host memory that services leave to monitoring."""
    return MEMORY if profile.monitoring else 0


def monitoring_of(
    inputs: Inputs,
    targets: Sequence[ScrapeTarget],
    gateway: GatewayPlan | None,
    cards: Sequence[str],
    around: Surroundings,
) -> MonitoringPlan | None:
    """Return the monitoring; None where nobody asks for it. Raise Refusal for what cannot work.

    + targets: where its metrics are
    + cards: PCI addresses of those that are ours
    """
    wanted, machine = inputs.profile.monitoring, inputs.machine
    if wanted is None:
        return None
    by = None if wanted.by in (None, around.name) else wanted.by
    _check(wanted, by, machine, gateway, around)
    machines = gateway.machines if gateway and by is None else ()
    plan = MonitoringPlan(
        name=around.name,
        wanted=wanted,
        by=by,
        targets=tuple(targets),
        machines=machines,
        vendor=inputs.gpu.vendor if inputs.gpu else None,
        cards=tuple(cards),
        models=f"{inputs.site.data_root}/models",
        certificates=tuple(_certificates(gateway)),
        size=0 if by else size_of(wanted, [targets, *(each.targets for each in machines)]),
    )
    disk = machine.disk_of(_ROOT)
    # Once it runs, what it has kept is a part of what it may take.
    runs = machine.ports.get(PROMETHEUS) == unit_names.PROMETHEUS
    if disk is not None and plan.size > disk.free and not runs:
        raise Refusal(
            f"{wanted.days} days of metrics may take {human(plan.size)}, and {disk.mount} has"
            f" {human(disk.free)} free",
            "Give fewer days or a longer interval in Monitoring, or make room there",
        )
    return plan


def size_of(wanted: Monitoring, machines: Sequence[Sequence[ScrapeTarget]]) -> int:
    """Return the bytes that the metrics of machines take at most."""
    series = sum(_SERIES[target.job] for targets in machines for target in targets)
    return _LEAST + series * wanted.days * _DAY // wanted.interval * _SAMPLE


def _certificates(gateway: GatewayPlan | None) -> Iterator[str]:
    if gateway and gateway.host:
        yield CERTIFICATE
    if gateway and gateway.between_machines:
        yield MACHINE_CERTIFICATE


def _check(
    wanted: Monitoring,
    by: str | None,
    machine: Machine,
    gateway: GatewayPlan | None,
    around: Surroundings,
) -> None:
    if machine.os not in ("debian", "ubuntu"):
        raise Refusal(
            f"Monitoring is Prometheus as Debian and Ubuntu bring it, and this machine has"
            f" {machine.os} {machine.os_version}",
            "Take monitoring out of its profile",
        )
    watchers = [other.name for other in around.others if other.watches]
    if by and by not in watchers:
        raise Refusal(
            f"Monitoring: {by} is to watch this machine, and the inventory has no such host with"
            " monitoring of its own",
            "Name a host of the inventory whose profile has monitoring, or leave by out",
        )
    if unknown := sorted({*wanted.viewers} - {key.user for key in around.keys}):
        raise Refusal(
            f"Monitoring: viewers names {', '.join(unknown)}, who has no key of the gateway",
            "Make one with .venv/bin/python -m deploys.keys new, or take the name out",
        )
    if wanted.viewers and not by and not (gateway and gateway.host):
        raise Refusal(
            "Monitoring: viewers see the page through the gateway, and this machine has none",
            "Add gateway=Gateway(...) to the profile, or take viewers out",
        )
    ports = {NODE: unit_names.NODE_EXPORTER}
    if not by:
        ports |= {PROMETHEUS: unit_names.PROMETHEUS, ALERTMANAGER: unit_names.ALERTMANAGER}
        ports |= {NOTIFIER: unit_names.NOTIFIER} if wanted.webhooks else {}
    for port, unit in ports.items():
        owner = machine.ports.get(port)
        if owner is not None and owner != unit:
            raise Refusal(
                f"Port {port} of {unit} is taken by {owner or 'a process'}",
                "Stop that process and keep it from starting again, or take monitoring out of the"
                " profile",
            )
