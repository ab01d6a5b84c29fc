"""llama.cpp: compiled from pinned source, one llama-server per service."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import build
from deploys.operations.services import service
from deploys.operations.services.unit import Unit
from deploys.planning.engines.software import Build


@deploy("llama.cpp")
def install() -> None:
    """Install the compiled programs in a versioned directory; running services are left alone."""
    plan = current_plan()
    software = plan.software_of("llama.cpp")
    assert isinstance(software, Build)

    build.installed(
        name="Install llama.cpp",
        build=software,
        site=plan.site,
        manager=plan.package_manager,
        systemd=plan.systemd,
    )


@deploy("llama.cpp")
def start() -> None:
    """Configure and start every planned service, and wait until its model answers."""
    plan = current_plan()

    service.running(
        name="Configure and start llama.cpp, and wait until it answers",
        units=[Unit.of(plan, planned) for planned in plan.services_of("llama.cpp")],
        software=plan.software_of("llama.cpp"),
        deployed=plan.deployed_of("llama.cpp"),
        systemd=plan.systemd,
        foreground=plan.foreground,
    )
