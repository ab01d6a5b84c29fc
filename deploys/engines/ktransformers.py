"""KTransformers: installed from locked Python packages, one server per service."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import venv
from deploys.operations.services import service
from deploys.operations.services.unit import Unit
from deploys.planning.engines.software import Environment


@deploy("KTransformers")
def install() -> None:
    """Install the locked packages in a versioned directory; running services are left alone."""
    plan = current_plan()
    software = plan.software_of("ktransformers")
    assert isinstance(software, Environment)

    venv.installed(
        name="Install KTransformers",
        environment=software,
        site=plan.site,
        systemd=plan.systemd,
    )


@deploy("KTransformers")
def start() -> None:
    """Configure and start every planned service, and wait until its model answers."""
    plan = current_plan()

    service.running(
        name="Configure and start KTransformers, and wait until it answers",
        units=[Unit.of(plan, planned) for planned in plan.services_of("ktransformers")],
        software=plan.software_of("ktransformers"),
        deployed=plan.deployed_of("ktransformers"),
        systemd=plan.systemd,
    )
