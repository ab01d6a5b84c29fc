"""What a bundle has of vendors' repositories and of uv's builds of Python, each installed."""

from pyinfra import host

from deploys.control import locks
from deploys.control.current_plan import current_plan
from deploys.operations import artifact, host_lock, packages, repository, venv
from deploys.operations.files import File
from deploys.planning.driver.plan import Repository
from deploys.rendering import render
from deploys.stages import base

plan = current_plan()
site, told = plan.site, host.data.told
pins = locks.read(site.locks).artifacts
key = pins["cuda-keyring-debian13"]
nvidia = Repository(
    name="cuda-debian13",
    url=site.url("cuda", "debian13/x86_64"),
    keyring=key,
    key="usr/share/keyrings/cuda-archive-keyring.gpg",
    needs=("contrib",),
)
amd = Repository(
    name="rocm",
    url=site.url("rocm", "rocm/apt/7.2.3"),
    suite="jammy main",
    keyring=pins["rocm-key"],
    key="",
    release="o=repo.radeon.com",
)
host_lock.acquire(name="Keep other runs away")
base.install()
artifact.fetched(
    name="Download NVIDIA's signing key", artifact=key, path="/var/lib/modelrack/key.deb", site=site
)
repository.key_present(
    name="Install the signing key of NVIDIA's repository",
    package="/var/lib/modelrack/key.deb",
    key=nvidia.key,
    keyring=render.keyring(nvidia),
)
repository.present(
    name="Add NVIDIA's repository",
    entries=[*map(File.of, render.repository(plan, nvidia))],
    url=nvidia.url,
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
    name="Install a package of each",
    packages=told["packages"],
    manager=plan.package_manager,
)
venv.installed(name="Make an environment", environment=told["environment"], site=site)
