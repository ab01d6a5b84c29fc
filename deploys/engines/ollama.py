"""Ollama: installed from a release archive, one process for all models, weights hard-linked."""

from __future__ import annotations

from dataclasses import replace

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import artifact
from deploys.operations.services import ollama, service
from deploys.operations.services.ollama import Registration
from deploys.operations.services.unit import Unit
from deploys.planning.engines.software import Release
from deploys.planning.plan import HostPlan
from deploys.rendering import ollama as serving


@deploy("Ollama")
def install() -> None:
    """Install the released programs in a versioned directory; running services are left alone."""
    plan = current_plan()
    software = plan.software_of("ollama")
    assert isinstance(software, Release)

    artifact.installed(
        name="Install Ollama",
        release=software,
        site=plan.site,
        systemd=plan.systemd,
    )


@deploy("Ollama")
def start() -> None:
    """Register the planned models, start Ollama, and wait until each model answers."""
    plan = current_plan()

    # Its list of models is read when it starts.
    ollama.registered(
        name="Register the models with Ollama", models=_registrations(plan), systemd=plan.systemd
    )
    service.running(
        name="Configure and start Ollama, and wait until it answers",
        units=[
            replace(Unit.of(plan, planned), patience=serving.patience(plan))
            for planned in plan.services_of("ollama")
        ],
        software=plan.software_of("ollama"),
        deployed=plan.deployed_of("ollama"),
        systemd=plan.systemd,
        foreground=plan.foreground,
    )


def _registrations(plan: HostPlan) -> list[Registration]:
    software = plan.software_of("ollama")
    return [
        Registration(
            name=planned.name,
            directory=planned.weights.directory,
            models=serving.models(plan),
            version=software.version,
            program=f"{software.directory}/bin/ollama",
            owner="modelrack",
            parameters=serving.parameters(plan, planned),
            allow_copy=plan.wanted_of(planned).allow_copy,
            file=planned.weights.merge or planned.weights.opened,
            projector=planned.weights.projector,
            adapter=next((each.file for each in planned.adapters), None),
            adapter_directory=next((each.weights.directory for each in planned.adapters), None),
        )
        for planned in plan.services_of("ollama")
    ]
