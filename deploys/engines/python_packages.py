"""What the engines share that come as locked Python packages, with one server per service.

full.py calls each engine in a line of its own, so pyinfra tells the operations of one from those of
another, though they stand here once.
"""

from __future__ import annotations

from deploys.control.current_plan import current_plan
from deploys.operations import venv
from deploys.operations.services import service
from deploys.operations.services.unit import Unit
from deploys.planning.engines.software import Environment


def install(engine: str) -> None:
    """Install the locked packages in a versioned directory; running services are left alone."""
    plan = current_plan()
    software = plan.software_of(engine)
    assert isinstance(software, Environment)

    venv.installed(
        name="Install the locked packages",
        environment=software,
        site=plan.site,
        systemd=plan.systemd,
    )


def start(engine: str) -> None:
    """Configure and start every planned service, and wait until its model answers."""
    plan = current_plan()

    service.running(
        name="Configure and start the services, and wait until they answer",
        units=[Unit.of(plan, planned) for planned in plan.services_of(engine)],
        software=plan.software_of(engine),
        deployed=plan.deployed_of(engine),
        systemd=plan.systemd,
        foreground=plan.foreground,
    )
