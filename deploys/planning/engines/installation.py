"""The software to install for a machine's services, and its system packages."""

from __future__ import annotations

from collections.abc import Sequence

from deploys.planning.driver.plan import DriverPlan
from deploys.planning.engines import environments
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import (
    Build,
    Environment,
    FromLock,
    FromRelease,
    FromSource,
    Software,
)
from deploys.planning.gateway import chat
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.refusal import Refusal


def software_of(
    services: Sequence[Service], inputs: Inputs, driver: DriverPlan | None
) -> tuple[tuple[Software, ...], tuple[Refusal, ...]]:
    """Return the software of each engine, of nvitop and of the chat page; refusals by service."""
    found: list[Software] = []
    refusals = []
    site, machine, locks, stack = inputs.site, inputs.machine, inputs.locks, inputs.stack
    for engine in sorted({service.engine for service in services}):
        software = ENGINES[engine].software
        try:
            if not isinstance(software, FromLock):
                each = _from_archive(engine, software, inputs, driver)
                found += [each] if each else []
            elif engine in stack.engines:
                found.append(
                    environments.environment(engine, stack, machine, site, locks, inputs.gpu)
                )
        except Refusal as refusal:
            name = next(service.name for service in services if service.engine == engine)
            refusals.append(Refusal(refusal.reason, refusal.hint, name))
    # uv, which installs it, comes from the operator's computer, and is for processors of its kind.
    watched = driver is not None and driver.vendor == "nvidia" and machine.architecture == "x86_64"
    if watched and "nvitop" in locks.environments:
        found.append(environments.nvitop(machine, locks))
    if chat.chat_of(inputs.profile):
        try:
            found.append(environments.open_webui(machine, site, locks))
        except Refusal as refusal:
            refusals.append(Refusal(refusal.reason, refusal.hint, "gateway"))
    return tuple(found), tuple(refusals)


def packages(services: Sequence[Service], installed: Sequence[Software]) -> tuple[str, ...]:
    """Return the distribution packages needed at run time, without build dependencies."""
    engines = sorted({service.engine for service in services})
    software = [ENGINES[engine].software for engine in engines]
    needed = [each.packages for each in software if not isinstance(each, FromLock)]
    needed += [each.packages for each in installed if isinstance(each, Environment)]
    needed += [each.needs for each in installed if isinstance(each, Build)]
    return tuple(dict.fromkeys(package for each in needed for package in each))


def _from_archive(
    engine: str,
    software: FromSource | FromRelease,
    inputs: Inputs,
    driver: DriverPlan | None,
) -> Software | None:
    """Return a build or a release; None if no archive is pinned or a GPU has no CUDA release."""
    archive, machine, gpu = inputs.locks.artifacts.get(engine), inputs.machine, inputs.gpu
    if archive is None:
        return None
    # Asked for now, so that a site without a way to it is refused now and not half way.
    inputs.site.url(archive.origin, archive.path)
    if isinstance(software, FromRelease):
        return software.release(machine, archive, gpu)
    cuda = driver.cuda if driver else None
    if gpu is not None and cuda is None and inputs.stack.backend != "Vulkan":
        return None
    return software.build(machine, archive, gpu, cuda)
