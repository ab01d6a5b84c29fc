"""Monitoring: how a machine is, and where it watches others, whom that tells."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.connection import transport
from deploys.control import tokens
from deploys.control.current_plan import current_plan
from deploys.operations import distribution_service, files
from deploys.operations.files import Directory, File
from deploys.operations.services import service
from deploys.operations.services.unit import Unit
from deploys.planning import unit_names
from deploys.planning.monitoring import plan as monitoring
from deploys.planning.monitoring.plan import MonitoringPlan
from deploys.planning.plan import HostPlan
from deploys.rendering.monitoring import files as rendering
from deploys.rendering.templates import Rendered


@deploy("Monitoring")
def install() -> None:
    """Install what looks at the machine and, where it watches, what tells; start nothing."""
    plan = current_plan()

    if plan.monitoring:
        distribution_service.installed(
            name="Install node exporter",
            package="prometheus-node-exporter",
            manager=plan.package_manager,
            systemd=plan.systemd,
        )
    if plan.monitoring and plan.monitoring.by is None:
        distribution_service.installed(
            name="Install Prometheus",
            package="prometheus",
            manager=plan.package_manager,
            systemd=plan.systemd,
        )
        distribution_service.installed(
            name="Install Alertmanager",
            package="prometheus-alertmanager",
            manager=plan.package_manager,
            systemd=plan.systemd,
        )


@deploy("Monitoring")
def start() -> None:
    """Have the machine watched, and where it watches, have it tell people; or end that."""
    plan = current_plan()

    if plan.monitoring:
        files.put(
            name="Make the folders of monitoring",
            entries=[Directory(path=monitoring.METRICS), Directory(path=monitoring.FOLDER)],
        )
        service.running(
            name="Start what says how the machine is",
            units=[
                _unit(unit_names.NODE_EXPORTER, rendering.node_exporter(), monitoring.NODE),
                _unit(unit_names.METRICS, rendering.writer(plan.monitoring), None),
            ],
            systemd=plan.systemd,
        )
        if plan.monitoring.by is None:
            _watch(plan, plan.monitoring)
        else:
            service.absent(
                name="Watch no machine from here",
                unit=unit_names.PROMETHEUS,
                paths=rendering.WATCHING,
                systemd=plan.systemd,
            )
    else:
        service.absent(
            name="Remove the monitoring",
            unit=unit_names.NODE_EXPORTER,
            paths=rendering.ALL,
            systemd=plan.systemd,
        )


def _watch(plan: HostPlan, wanted: MonitoringPlan) -> None:
    """Start what asks all machines that this one watches, and tells people."""
    # Of a machine of which only the plan is made, nobody is told.
    alone = transport.is_simulated(host)
    secrets = tokens.of_monitoring(wanted.wanted) if not alone else tokens.Secrets()
    notifier = rendering.notifier(secrets.webhooks)
    service.running(
        name="Start what watches, and tells people",
        units=[
            *(
                [_unit(unit_names.NOTIFIER, notifier, monitoring.NOTIFIER)]
                if wanted.wanted.webhooks
                else []
            ),
            _unit(
                unit_names.ALERTMANAGER,
                rendering.alertmanager(wanted, secrets.password),
                monitoring.ALERTMANAGER,
            ),
            _unit(unit_names.PROMETHEUS, rendering.prometheus(wanted), monitoring.PROMETHEUS),
        ],
        systemd=plan.systemd,
    )
    if not wanted.wanted.webhooks:
        service.absent(
            name="Post alerts to nobody",
            unit=unit_names.NOTIFIER,
            paths=rendering.NOTIFYING,
            systemd=plan.systemd,
        )


def _unit(name: str, rendered: tuple[tuple[Rendered, ...], str], port: int | None) -> Unit:
    found, digest = rendered
    return Unit(
        name=name,
        files=tuple(map(File.of, found)),
        digest=digest,
        url=f"http://127.0.0.1:{port}" if port else None,
        model=None,
        stable=1.0,
        patience=60.0,
    )
