"""What the engines share that come as locked Python packages, with one server per service.

full.py calls each engine in a line of its own, so pyinfra tells the operations of one from those of
another, though they stand here once.
"""

from __future__ import annotations

from deploys.control import groups
from deploys.control.current_plan import current_plan
from deploys.operations import build, files, venv
from deploys.operations.files import File
from deploys.operations.services import group, service
from deploys.operations.services.unit import Unit
from deploys.planning.engines.software import Environment
from deploys.rendering import settings


def install(engine: str) -> None:
    """Install the locked packages in a versioned directory, and compile what they bring as source.

    Running services are left alone.
    """
    plan = current_plan()
    software = plan.software_of(engine)
    assert isinstance(software, Environment)

    venv.installed(
        name="Install the locked packages",
        environment=software,
        site=plan.site,
        systemd=plan.systemd,
    )
    if software.kernels:
        build.kernels(
            name="Compile kernels for the cards",
            kernels=software.kernels,
            site=plan.site,
            systemd=plan.systemd,
        )


def start(engine: str) -> None:
    """Configure and start every planned service, and wait until its model answers."""
    plan = current_plan()
    services = plan.services_of(engine)
    units = [Unit.of(plan, planned) for planned in services]
    shared = [planned for planned in services if planned.group]
    software, deployed = plan.software_of(engine), plan.deployed_of(engine)

    if shared:
        files.put(
            name="Write what proves this machine to be of its group",
            entries=[
                File(
                    path=settings.secret_file(planned.name),
                    content=groups.secret(plan, planned),
                    mode="600",
                )
                for planned in shared
            ],
        )
    service.running(
        name="Configure and start the services, and wait until they answer",
        units=units,
        software=software,
        deployed=deployed,
        systemd=plan.systemd,
        foreground=plan.foreground,
    )
    if shared:
        group.answering(
            name="Wait until what several machines serve together answers",
            units=units,
            software=software,
            deployed=deployed,
        )
