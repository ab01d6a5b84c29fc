"""Python environments of the engines: the lock, the interpreter, and system packages.

An engine runs other programs when it first starts: Triton and PyTorch compile kernels for the
model, with the distribution's compiler and the headers of their Python.
"""

from __future__ import annotations

from deploys.planning.engines.base import FromLock
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import Environment
from deploys.planning.hardware.software_stacks import SoftwareStack
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site


def nvitop(machine: Machine, locks: Locks) -> Environment:
    """Return nvitop's environment, on the machine's own Python: it supports any since 3.8."""
    lock = locks.environments["nvitop"]
    return Environment(
        name="nvitop",
        version=lock.versions["nvitop"],
        lock="nvitop",
        digest=lock.digest,
        python=".".join(machine.python.split(".")[:2]),
        imports=("nvitop",),
    )


def environment(
    engine: str, stack: SoftwareStack, machine: Machine, site: Site, locks: Locks
) -> Environment:
    """Return the environment of an engine on a machine; raise Refusal if none is available."""
    software, name = ENGINES[engine].software, stack.locks.get(engine, "")
    recipes = software.recipes if isinstance(software, FromLock) else {}
    if name not in recipes or name not in locks.environments:
        raise Refusal(
            f"{engine} has no lock for {stack.platform} yet, so it is planned there and not"
            " installed",
            "Use the vendor's images on this machine, or add a lock as CONTRIBUTING.md says",
        )
    if machine.architecture != "x86_64":
        raise Refusal(
            f"{engine} is locked for x86_64, and {machine.hostname} is {machine.architecture}",
            "Serve a GGUF model with llama.cpp, which is compiled for it",
        )
    recipe, lock = recipes[name], locks.environments[name]
    own = ".".join(machine.python.split(".")[:2])
    headers: tuple[str, ...] = ("python3-dev",)
    python = own
    if own not in recipe.pythons:
        python, headers = recipe.pythons[0], ()
        # Asked for now, so that a site without a way to it is refused now and not half way.
        site.url("python_builds")
    return Environment(
        name=engine,
        version=lock.versions[recipe.package],
        lock=name,
        digest=lock.digest,
        python=python,
        imports=recipe.imports,
        packages=(*recipe.packages, *headers),
        wheels=site.url("pytorch", "/") if recipe.wheels else None,
        cuda=recipe.cuda_compiler == "in the lock",
    )
