"""What a service becomes on a machine: its plan, and the text of its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploys.control import locks
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.models.model import Model
from deploys.planning.plan import ServicePlan
from deploys.planning.resolve import resolve
from deploys.rendering import render


def planned(
    service: Service, machine: Machine, gpu: str | None = None
) -> tuple[ServicePlan, dict[str, str]]:
    """The plan and its files, by how their names end; ValueError where there is none.

    + service: with a model of its own, whose weights are made up: they take no disk
    + gpu: kind of the machine's cards; None for a profile without any
    """
    assert isinstance(service.model, Model)
    # No place to fetch it from is asked for, but a plan wants one.
    model = replace(service.model, modelscope="made/up", huggingface=None)
    profile = HostProfile(
        gpu=gpu,
        gpus=len(machine.gpus) if gpu else 0,
        services=(replace(service, model=model),),
    )
    roomy = replace(machine, disks=tuple(replace(disk, free=1 << 50) for disk in machine.disks))
    plan = resolve(profile, Site(), roomy, locks.read(Site().locks))
    if plan.refusals:
        raise ValueError("; ".join(map(str, plan.refusals)))
    (served,) = plan.services
    rendered, _ = render.service(plan, served)
    return served, {Path(file.path).suffix: file.content for file in rendered}
