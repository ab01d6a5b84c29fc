"""Archives and single files from outside: downloaded by the site's map, proven, in their place."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import programs
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
    Have the content of a pinned archive in a folder of its own.

    + artifact: what, and the hash it must have
    + directory: the folder, with the version in its name; it is whole or it is not there
    + site: where archives come from
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
    Have released programs in their versioned folder; which version serves is up to the services.

    + release: which archive; its bin/ and lib/ are what lies in the folder
    + site: where archives come from
    """
    if release.directory in host.get_fact(Entries, paths=(release.directory,)):
        host.noop(f"{release.name} {release.version} is installed")
        return
    yield files.write([Directory(path=str(Path(release.directory).parent))])
    yield from unpacking(release.archive, release.directory, site, systemd=systemd, strip=0)


def unpacking(
    artifact: ArtifactLock, directory: str, site: Site, *, systemd: bool, strip: int = 1
) -> Generator[PyinfraCommand, None, None]:
    """The commands that fetch and unpack one archive, without `strip` first parts of its paths."""
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
    Have one small pinned file, as it was downloaded; minutes of downloading are for a job.

    + artifact: what, and the hash it must have
    + path: where, in a folder that only root writes to
    + site: where it comes from
    """
    found = host.get_fact(Entries, paths=(path,), hashed=True).get(path)
    if found is not None and found.sha256 == artifact.sha256:
        host.noop(f"{path} is there")
        return
    url = site.url(artifact.origin, artifact.path)
    spec = {"url": url, "sha256": artifact.sha256, "file": path}
    fetch = programs.command("artifact", "-")
    yield StringCommand(*fetch.bits, _stdin=json.dumps(spec))
