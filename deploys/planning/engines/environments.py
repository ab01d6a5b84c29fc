"""Python environments of the engines: the lock, the interpreter, and system packages.

An engine runs other programs when it first starts: Triton and PyTorch compile kernels for the
model, with the distribution's compiler and the headers of their Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import Environment, FromLock, Kernels
from deploys.planning.gateway import chat
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.hardware.software_stacks import SoftwareStack
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site

# Packages that run on NVIDIA's cards alone. Resolved for others without an error, they come along
# where a package does not say for whom it is: sglang[all_hip] 0.5.23 brings 207 with them.
_FOR_CUDA = re.compile(r"nvidia-(?!ml-py$).+|cuda-.+|cupy-cuda.+|flashinfer-.+|.+-cu1[2-9]\d?")
# A build of PyTorch that is not for CUDA says for what it is, or is made of two.
_TORCH = {"amd": "+rocm", None: "+cpu"}


def nvitop(machine: Machine, locks: Locks) -> Environment:
    """Return nvitop's environment, on the machine's own Python: it supports any since 3.8."""
    lock = locks.environments["nvitop"]
    return Environment(
        name="nvitop",
        version=lock.versions["nvitop"],
        lock="nvitop",
        digest=lock.digest,
        python=_own_python(machine),
        imports=("nvitop",),
    )


def open_webui(machine: Machine, site: Site, locks: Locks) -> Environment:
    """Return the chat page's environment; raise Refusal if this machine can have none."""
    if machine.architecture != "x86_64":
        raise Refusal(
            f"The chat page is locked for x86_64, and {machine.hostname} is {machine.architecture}",
            "Take chat out of its gateway",
        )
    lock = locks.environments[chat.NAME]
    return Environment(
        name=chat.NAME,
        version=lock.versions[chat.NAME],
        lock=chat.NAME,
        digest=lock.digest,
        python=_python(("3.12", "3.11"), machine, site),
        # Those of its own that import without a folder for its data.
        imports=("open_webui", "chromadb", "fastapi", "pypdf", "uvicorn"),
    )


def environment(
    engine: str,
    stack: SoftwareStack,
    machine: Machine,
    site: Site,
    locks: Locks,
    gpu: Accelerator | None = None,
) -> Environment:
    """Return the environment of an engine on a machine; raise Refusal if none is available.

    + gpu: cards that kernels are compiled for; None for none
    """
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
    if foreign := foreign_packages(lock.versions, stack):
        some = ", ".join(foreign[:3])
        raise Refusal(
            f"The lock {name} is for {stack.platform}, and has {len(foreign)} packages for"
            f" NVIDIA's cards in it: {some}",
            f"Restore deploys/locks/engines/{name}.txt from git, or write it anew with the vendor's"
            " index alone for what is on both",
        )
    python = _python(recipe.pythons, machine, site)
    headers = ("python3-dev",) if python == _own_python(machine) else ()
    made = Environment(
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
    if not recipe.kernels or gpu is None:
        return made
    kernels = Kernels(
        directory=made.directory,
        modules=recipe.kernels,
        compute=gpu.compute,
        toolchain=f"{machine.os}-{machine.os_version}-{machine.architecture}",
    )
    return replace(made, kernels=kernels)


def foreign_packages(versions: Mapping[str, str], stack: SoftwareStack) -> list[str]:
    """Return the packages of a lock that run on NVIDIA's cards alone, on a stack without any."""
    if stack.vendor == "nvidia":
        return []
    found = [f"{name} {version}" for name, version in versions.items() if _FOR_CUDA.fullmatch(name)]
    torch, wanted = versions.get("torch"), _TORCH.get(stack.vendor)
    if torch is not None and wanted is not None and wanted not in torch:
        found.append(f"torch {torch}")
    return sorted(found)


def _python(known: Sequence[str], machine: Machine, site: Site) -> str:
    """Return the machine's own Python if it is a known one, otherwise the first of those."""
    own = _own_python(machine)
    if own in known:
        return own
    # Asked for now, so that a site without a way to it is refused now and not half way.
    site.url("python_builds")
    return known[0]


def _own_python(machine: Machine) -> str:
    return ".".join(machine.python.split(".")[:2])
