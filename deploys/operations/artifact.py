"""Archives and single files: downloaded through the site's mirrors, verified, and put in place."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, programs
from deploys.facts.files import Entries
from deploys.operations import files, job
from deploys.operations.files import Directory
from deploys.planning.engines.software import Release
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.site import Site


@operation()
def unpacked(
    artifact: ArtifactLock, directory: str, site: Site, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Unpack a pinned archive into a directory of its own.

    + artifact: path and the hash it must have
    + directory: target, with the version in its name; it is complete or it does not exist
    + site: mirrors that archives are downloaded from
    """
    if directory in host.get_fact(Entries, paths=(directory,)):
        host.noop(f"{directory} is unpacked")
        return
    yield from unpacking(artifact, directory, site, systemd=systemd)


@operation()
def installed(
    release: Release, site: Site, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Install released programs in their versioned directory; running services do not switch to it.

    + release: which archive; the directory then holds its bin/ and lib/
    + site: mirrors that archives are downloaded from
    """
    looking.knows([release.directory])
    if release.directory in host.get_fact(Entries, paths=(release.directory,)):
        host.noop(f"{release.name} {release.version} is installed")
        return
    looking.differs([f"{release.directory} is missing"])
    yield files.write([Directory(path=str(Path(release.directory).parent))])
    yield from unpacking(release.archive, release.directory, site, systemd=systemd, strip=0)


def unpacking(
    artifact: ArtifactLock, directory: str, site: Site, *, systemd: bool, strip: int = 1
) -> Generator[PyinfraCommand, None, None]:
    """Yield the commands that fetch and unpack one archive.

    + strip: leading path components to remove
    """
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
            "strip": strip,
        },
    )


@operation()
def fetched(artifact: ArtifactLock, path: str, site: Site) -> Generator[PyinfraCommand, None, None]:
    """
    Download one small pinned file as it is; anything that takes minutes belongs in a job.

    + artifact: path and the hash it must have
    + path: target, in a directory that only root can write to
    + site: mirrors that files are downloaded from
    """
    found = host.get_fact(Entries, paths=(path,), hashed=True).get(path)
    looking.knows([path])
    if found is not None and found.sha256 == artifact.sha256:
        host.noop(f"{path} is there")
        return
    looking.differs([f"{path} {'has other content' if found else 'is missing'}"])
    url = site.url(artifact.origin, artifact.path)
    spec = {"url": url, "sha256": artifact.sha256, "file": path}
    fetch = programs.command("artifact", "-")
    yield StringCommand(*fetch.bits, _stdin=json.dumps(spec))
