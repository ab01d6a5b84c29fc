"""The gateway: the one door to the models, for a team and for other machines."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations.services import service
from deploys.planning import unit_names


@deploy("Gateway")
def install() -> None:
    """Install what the gateway needs; starts nothing, and makes no key and no certificate."""
    current_plan()


@deploy("Gateway")
def start() -> None:
    """Have its certificates signed, write its configuration, and start or reload it; or end it."""
    plan = current_plan()

    if plan.gateway is None:
        service.absent(
            name="Disable the gateway",
            unit=unit_names.GATEWAY,
            paths=(unit_names.file(unit_names.GATEWAY),),
            systemd=plan.systemd,
        )
