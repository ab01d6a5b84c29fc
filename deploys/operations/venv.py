"""Python environments from a lock with hashes, one folder per lock.

pyinfra 3.10's uv.venv looks for an environment where it does not put it, so its second run fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from deploys.facts.files import Entries
from deploys.operations import files, job
from deploys.operations.files import Directory, File
from deploys.planning.site import Site

UV = "/opt/modelrack/bin/uv"


@operation()
def venv(
    root: str,
    version: str,
    lock: Path,
    python: str,
    imports: Sequence[str],
    site: Site,
    systemd: bool = True,
) -> Generator[PyinfraCommand, None, None]:
    """
    Have an environment in <root>/<version>-<digest of the lock>.

    + lock: requirements file with hashes, here
    + python: version, or path of an interpreter on the machine
    + imports: modules that must import before the environment counts
    + site: its package index

    A new lock is a new folder beside the old one; nothing is repaired in place. Which version
    serves is up to the services.
    """
    requirements = lock.read_text()
    digest = hashlib.sha256(requirements.encode()).hexdigest()[:12]
    directory = f"{root}/{version}-{digest}"
    stamp = f"{directory}/.modelrack.json"
    if stamp in host.get_fact(Entries, paths=(stamp,)):
        host.noop(f"{directory} is installed")
        return
    path = f"{root}/{version}-{digest}.txt"
    yield files.write([Directory(path=root), File(path=path, content=requirements, mode="644")])
    yield from job.running(
        f"venv-{Path(root).name}-{digest}",
        ["python3", "{program}", "venv", "{spec}"],
        systemd=systemd,
        spec={
            "uv": UV,
            "directory": directory,
            "python": python,
            "lock": path,
            "imports": list(imports),
            "index": site.mirrors.pypi,
            "stamp": {"version": version, "lock": digest, "python": python},
        },
    )
