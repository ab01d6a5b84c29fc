"""What an engine is installed from on one machine: compiled there, or as its makers publish it."""

from __future__ import annotations

from deploys.planning import builds, releases
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.gpus import Accelerator
from deploys.planning.locks import Locks
from deploys.planning.machine import Machine
from deploys.planning.site import Site
from deploys.planning.software import Software


def software_for(
    engine: str,
    site: Site,
    machine: Machine,
    locks: Locks,
    gpu: Accelerator | None,
    driver: DriverPlan | None,
) -> Software | None:
    """The software of one engine; None where something else already speaks against it."""
    if engine not in locks.artifacts:
        return None
    archive = locks.artifacts[engine]
    # Asked for now, so that a site without a way to it is refused now and not half way.
    site.url(archive.origin, archive.path)
    if engine == "ollama":
        return releases.ollama(machine, gpu, archive)
    cuda = driver.cuda if driver else None
    if gpu is not None and cuda is None:
        return None
    return builds.llama_cpp(machine, archive, gpu, cuda)
