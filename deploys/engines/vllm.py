"""vLLM: installed from locked Python packages, one server per service."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import venv
from deploys.operations.services import service
from deploys.operations.services.unit import Unit
from deploys.planning.engines.software import Environment


@deploy("vLLM")
def install() -> None:
    """Install the locked packages in a versioned directory; running services are left alone."""
    plan = current_plan()
    software = plan.software_of("vllm")
    assert isinstance(software, Environment)

    venv.installed(
        name="Install vLLM",
        environment=software,
        site=plan.site,
        systemd=plan.systemd,
    )


@deploy("vLLM")
def start() -> None:
    """Configure and start every planned service, and wait until its model answers."""
    plan = current_plan()

    service.running(
        name="Configure and start vLLM, and wait until it answers",
        units=[Unit.of(plan, planned) for planned in plan.services_of("vllm")],
        software=plan.software_of("vllm"),
        deployed=plan.deployed_of("vllm"),
        systemd=plan.systemd,
    )
