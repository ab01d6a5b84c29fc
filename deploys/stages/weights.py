"""Afterwards every model of the plan lies on the disk, proven against its pins."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.facts.plan import current_plan
from deploys.operations import weights


@deploy("Weights")
def fetch() -> None:
    """Fetch what is missing; what has been fetched and proven is not read again."""
    plan = current_plan()

    weights.present(
        name="Fetch the models and prove every byte",
        models=plan.weights,
        peer=plan.peer,
        systemd=plan.systemd,
    )
