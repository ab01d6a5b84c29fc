"""Fetch every model of the plan and verify it against its pins."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control import tokens
from deploys.control.current_plan import current_plan
from deploys.operations import files, weights
from deploys.operations.files import File
from deploys.planning.weights.weights import token_file


@deploy("Weights")
def fetch() -> None:
    """Fetch missing models; files that have already been verified are not read again."""
    plan = current_plan()

    files.put(
        name="Write the access tokens of the hubs",
        entries=[
            File(path=token_file(hub), content=f"{token}\n", mode="600")
            for hub, token in tokens.of(plan.site).items()
        ],
    )
    weights.present(
        name="Fetch and verify the models",
        models=plan.weights,
        peer=plan.peer,
        systemd=plan.systemd,
    )
