"""Afterwards nothing of ours serves models but what the plan names."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.facts.plan import current_plan
from deploys.operations import gone


@deploy("Services")
def retire() -> None:
    """Right before the others start: until then, what is to go may serve."""
    plan = current_plan()

    gone.servers(
        name="Stop what is planned no more",
        units=plan.retired,
        systemd=plan.systemd,
    )
