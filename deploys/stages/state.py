"""Record on the machine what was deployed to it."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import files
from deploys.operations.files import File
from deploys.rendering import render


@deploy("State")
def record() -> None:
    """Write the plan that was carried out; runs last, so that the record is true."""
    plan = current_plan()

    files.put(name="Record the deployed state", entries=[File.of(render.state(plan))])
