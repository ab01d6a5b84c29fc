"""Afterwards nothing of ours serves models but what the plan names."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations.services import absent


@deploy("Services")
def retire() -> None:
    """Right before the others start: until then, what is to go may serve."""
    plan = current_plan()

    absent.servers(
        name="Stop what is planned no more",
        units=plan.retired,
        systemd=plan.systemd,
    )
