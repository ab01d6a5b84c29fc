"""One of each kind of thing that a machine has from outside, from where its site says."""

from pyinfra import host

from deploys.control import locks
from deploys.control.current_plan import current_plan
from deploys.operations import artifact, host_lock, packages, repository, venv
from deploys.operations.files import File
from deploys.planning.driver.plan import Repository
from deploys.planning.engines.software import Environment
from deploys.planning.inputs.locks import ArtifactLock
from deploys.rendering import render
from deploys.stages import base, weights

plan = current_plan()
site, told = plan.site, host.data.told
# What is there from another site's deploy would not be asked for again.
folder, pins = f"/opt/modelrack/{told['preset']}", locks.read(site.locks).artifacts
host_lock.acquire(name="Keep other runs away")
base.install()

packages.installed(
    name="Install a package of the distribution",
    packages=told["packages"],
    manager=plan.package_manager,
)
artifact.unpacked(
    name="Unpack a source archive",
    artifact=ArtifactLock(version="1", origin="github", **host.data.stub),
    directory=f"{folder}/stub-1",
    site=site,
)
artifact.unpacked(
    name="Unpack a release of Ollama",
    artifact=pins["ollama"],
    directory=f"{folder}/ollama-1",
    site=site,
)
venv.installed(
    name="Make an environment",
    environment=Environment(
        name=f"mirrors-{told['preset']}".lower(),
        version="1",
        lock=told["lock"],
        digest="0123456789ab",
        python="/usr/bin/python3",
        imports=("lab_indexed", "lab_linked"),
        wheels=site.url("pytorch", "/"),
    ),
    site=site,
)
system = "debian" + plan.system.split()[1]
nvidia = Repository(
    name=f"cuda-{system}",
    url=site.url("cuda", f"{system}/x86_64"),
    keyring=pins[f"cuda-keyring-{system}"],
    key="usr/share/keyrings/cuda-archive-keyring.gpg",
    needs=("contrib",),
)
artifact.fetched(
    name="Download NVIDIA's signing key",
    artifact=pins[f"cuda-keyring-{system}"],
    path=f"/var/lib/modelrack/keyring-{told['preset']}.deb",
    site=site,
)
repository.key_present(
    name="Install the signing key of NVIDIA's repository",
    package=f"/var/lib/modelrack/keyring-{told['preset']}.deb",
    key=nvidia.key,
    keyring=render.keyring(nvidia),
)
repository.present(
    name="Add NVIDIA's repository",
    entries=[*map(File.of, render.repository(plan, nvidia))],
    url=nvidia.url,
)
packages.installed(
    name="Install a package of NVIDIA's", packages=told["cuda"], manager=plan.package_manager
)
if site.mirrors.rocm:
    amd = Repository(
        name="rocm",
        url=site.url("rocm", "rocm/apt/7.2.3"),
        suite="jammy main",
        keyring=pins["rocm-key"],
        key="",
        release="o=repo.radeon.com",
    )
    artifact.fetched(
        name="Fetch the key of AMD's repository",
        artifact=pins["rocm-key"],
        path=render.keyring(amd),
        site=site,
    )
    repository.present(
        name="Name AMD's repository",
        entries=[*map(File.of, render.repository(plan, amd))],
        url=amd.url,
    )
    packages.installed(
        name="Install a package of AMD's", packages=("rocminfo",), manager=plan.package_manager
    )
weights.fetch()
