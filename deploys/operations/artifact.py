"""Archives from outside: downloaded by the site's map, proven, unpacked."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts.files import Entries
from deploys.operations import job
from deploys.planning.locks import ArtifactLock
from deploys.planning.site import Site


@operation()
def unpacked(
    artifact: ArtifactLock, directory: str, site: Site, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Have the content of a pinned archive in a folder of its own.

    + artifact: what, and the hash it must have
    + directory: the folder, with the version in its name; it is whole or it is not there
    + site: where archives come from
    """
    if directory in host.get_fact(Entries, paths=(directory,)):
        host.noop(f"{directory} is unpacked")
        return
    yield from unpacking(artifact, directory, site, systemd=systemd)


def unpacking(
    artifact: ArtifactLock, directory: str, site: Site, *, systemd: bool
) -> Generator[PyinfraCommand, None, None]:
    """The commands that fetch and unpack one archive."""
    digest = artifact.sha256 or artifact.tree_sha256 or ""
    yield from job.running(
        f"fetch-{digest[:12]}",
        ["python3", "{program}", "artifact", "{spec}"],
        systemd=systemd,
        spec={
            "url": site.url(artifact.origin, artifact.path),
            "sha256": artifact.sha256,
            "tree_sha256": artifact.tree_sha256,
            "directory": directory,
            "strip": 1,
        },
    )
