"""SGLang: Python packages from a lock, one server a service."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import venv
from deploys.operations.services import service
from deploys.operations.services.service import Unit
from deploys.planning.engines.software import Environment


@deploy("SGLang")
def install() -> None:
    """Have the packages in a folder of their own; what runs is left alone."""
    plan = current_plan()
    software = plan.software_of("sglang")
    assert isinstance(software, Environment)

    venv.installed(
        name="Install SGLang and the packages that it was locked with",
        environment=software,
        site=plan.site,
        systemd=plan.systemd,
    )


@deploy("SGLang")
def start() -> None:
    """Have every service of the plan configured, running, and answering with its model."""
    plan = current_plan()

    service.running(
        name="Configure and start SGLang's services, wait for their answer",
        units=[Unit.of(plan, planned) for planned in plan.services_of("sglang")],
        software=plan.software_of("sglang"),
        deployed=plan.deployed_of("sglang"),
        systemd=plan.systemd,
    )
