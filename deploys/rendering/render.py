"""The plan as configuration files, rendered from templates/; no machine is needed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from deploys.planning import unit_names
from deploys.planning.driver.plan import DriverPlan, Repository
from deploys.planning.engines.ktransformers import KTRANSFORMERS
from deploys.planning.engines.llama_cpp import LLAMA_CPP
from deploys.planning.engines.ollama import OLLAMA
from deploys.planning.engines.sglang import SGLANG
from deploys.planning.engines.vllm import VLLM
from deploys.planning.package_manager import Apt
from deploys.planning.plan import HostPlan, ServicePlan
from deploys.planning.weights.plan import PeerServer
from deploys.rendering import ktransformers, llama_cpp, ollama, sglang, vllm
from deploys.rendering.templates import Rendered, digest_of, file

# The module with the files of each engine's services.
SERVING = {
    LLAMA_CPP.name: llama_cpp,
    OLLAMA.name: ollama,
    VLLM.name: vllm,
    SGLANG.name: sglang,
    KTRANSFORMERS.name: ktransformers,
}


def base(plan: HostPlan) -> tuple[Rendered, ...]:
    """Return the files that every machine has under /etc."""
    files = [
        file("base/limits.conf", "/etc/security/limits.d/60-modelrack.conf", plan=plan),
        file("base/sysctl.conf", "/etc/sysctl.d/60-modelrack.conf", values=SYSCTL),
    ]
    files.append(file(f"base/{unit_names.FAILED}", unit_names.file(unit_names.FAILED)))
    manager = plan.package_manager
    if isinstance(manager, Apt):
        files.append(file("base/apt.conf", "/etc/apt/apt.conf.d/60modelrack", apt=manager))
        if manager.mirror:
            files.append(apt_sources(manager, plan.system))
    return tuple(files)


def apt_sources(manager: Apt, system: str) -> Rendered:
    """Render the mirrors of the site as apt reads them."""
    return file("base/apt.sources", APT_SOURCES, apt=manager, system=system)


def repository(plan: HostPlan, repository: Repository) -> tuple[Rendered, ...]:
    """Return the files that define a vendor's repository and its signing key."""
    name = repository.name
    manager = plan.package_manager
    if not isinstance(manager, Apt):
        path = f"/etc/yum.repos.d/{name}.repo"
        return (file("nvidia/repository.repo", path, repository=repository),)
    folder = APT_SOURCES_FOLDER if manager.mirror else "/etc/apt/sources.list.d"
    values: dict[str, Any] = {"repository": repository, "apt": manager}
    values["keyring"] = keyring(repository)
    return (
        file("nvidia/repository.list", f"{folder}/{name}.list", **values),
        repository_preferences(repository),
    )


def repository_preferences(repository: Repository) -> Rendered:
    """Return the file by which apt prefers a vendor's repository, or does not."""
    path = f"/etc/apt/preferences.d/{repository.name}"
    return file("nvidia/repository.pref", path, repository=repository)


def keyring(repository: Repository) -> str:
    """Return the path of a repository's key; another key has another path."""
    digest = (repository.keyring.sha256 or "") if repository.keyring else ""
    if repository.keyring and not repository.key:
        # apt tells the armoured form from the other by this ending.
        name = Path(repository.keyring.path).name.partition(".")[0]
        return f"/etc/apt/keyrings/{name}-{digest[:12]}.asc"
    return f"/etc/apt/keyrings/{repository.name}-{digest[:12]}.gpg"


def driver(driver: DriverPlan) -> tuple[Rendered, ...]:
    """Return the files that load the driver at boot and exclude it from unattended upgrades."""
    files = []
    if driver.modules:
        path = "/etc/modules-load.d/modelrack-gpu.conf"
        files.append(file("nvidia/modules-load.conf", path, driver=driver))
    if driver.blocklist:
        path = "/etc/apt/apt.conf.d/60modelrack-gpu"
        files.append(file("nvidia/unattended-upgrades.conf", path, driver=driver))
    return tuple(files)


def blacklist(driver: DriverPlan) -> Rendered:
    """Return the file that blacklists other kernel modules for the GPUs."""
    return file("nvidia/modprobe.conf", "/etc/modprobe.d/modelrack-gpu.conf", driver=driver)


def service(plan: HostPlan, service: ServicePlan) -> tuple[tuple[Rendered, ...], str]:
    """Return the files of one service, and the digest that its process must be started with.

    Services that share a unit have the same files and the same digest.
    """
    together = [each for each in plan.services if each.unit == service.unit]
    files = SERVING[service.engine].files
    decides = [
        [file.content for file in files(plan, service, "")],
        plan.software_of(service.engine).directory,
        [file.sha256 for each in together for weights in each.fetched for file in weights.files],
    ]
    digest = digest_of(decides)
    return files(plan, service, digest), digest


def peer(plan: HostPlan, peer: PeerServer) -> tuple[Rendered, ...]:
    """Return the unit and the configuration of the server that shares weights."""
    unit, configuration = PEER_FILES
    listen = peer.url.partition("//")[2]
    return (
        file(f"peer/{unit_names.PEER}", unit, peer=peer, data_root=plan.site.data_root),
        file("peer/peer.conf", configuration, peer=peer, listen=listen),
    )


def state(plan: HostPlan) -> Rendered:
    """Return the record of what is deployed, with a digest of the plan."""
    decided = plan.deployed()
    digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
    content = json.dumps({"schema": 1, "digest": digest, "plan": decided}, indent=2)
    return Rendered(path="/var/lib/modelrack/state.json", content=content + "\n", mode="644")


# Kernel settings of a machine that serves models: weights stay in memory rather than in swap, and
# on the memory node where they were put; large models may map many files, and bursts of connections
# are queued instead of refused.
SYSCTL: dict[str, int] = {
    "kernel.numa_balancing": 0,
    "net.core.somaxconn": 4096,
    "vm.max_map_count": 1048576,
    "vm.swappiness": 1,
}

PEER_FILES = (unit_names.file(unit_names.PEER), "/etc/modelrack/peer.conf")

# apt reads these instead of its own lists while we call it, and only then.
APT_SOURCES = "/etc/modelrack/apt.sources"
APT_SOURCES_FOLDER = "/etc/modelrack/apt.sources.d"
