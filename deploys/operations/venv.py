"""Python environments installed from locks with hashes, one directory per lock.

pyinfra 3.10's uv.venv looks for an environment where it does not create it, so its second run
fails.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking
from deploys.control import locks
from deploys.facts.files import Entries
from deploys.operations import files, job
from deploys.operations.files import Directory, File
from deploys.planning.engines.software import Environment
from deploys.planning.inputs.site import Site

UV = "/opt/modelrack/bin/uv"


@operation()
def installed(
    environment: Environment, site: Site, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Install an environment in its versioned directory.

    + environment: which lock, and the Python for it
    + site: its package index, and its builds of Python

    A new lock gets a new directory beside the old one; nothing is repaired in place. Running
    services do not switch to it.
    """
    directory = environment.directory
    stamp = f"{directory}/.modelrack.json"
    looking.knows([directory, f"{directory}.txt"])
    if stamp in host.get_fact(Entries, paths=(stamp,)):
        host.noop(f"{environment.name} {environment.version} is installed")
        return
    looking.differs([f"{stamp} is missing"])
    requirements = File(
        path=f"{directory}.txt", content=locks.requirements(environment.lock), mode="644"
    )
    yield files.write([Directory(path=str(Path(directory).parent)), requirements])
    yield from job.running(
        f"venv-{environment.name}-{environment.digest}",
        ["python3", "{program}", "venv", "{spec}"],
        systemd=systemd,
        spec={
            "uv": UV,
            "directory": directory,
            "python": environment.python,
            "lock": requirements.path,
            "imports": environment.imports,
            "index": site.mirrors.pypi,
            "wheels": environment.wheels,
            "python_builds": site.mirrors.python_builds,
            "cuda": environment.cuda,
            "stamp": {
                "version": environment.version,
                "lock": environment.digest,
                "python": environment.python,
            },
        },
    )
