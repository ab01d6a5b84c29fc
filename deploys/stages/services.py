"""Stop model servers that are no longer in the plan."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations.services import service


@deploy("Services")
def retire() -> None:
    """Stop retired services; runs right before the others start, so that they serve until then."""
    plan = current_plan()

    service.retired(
        name="Stop retired services",
        units=plan.retired,
        systemd=plan.systemd,
    )
