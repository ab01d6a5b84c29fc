"""One operation of each kind that writes, and a model server that answers."""

from pyinfra import host

from deploys.control.current_plan import current_plan
from deploys.engines import llama_cpp
from deploys.operations import artifact, build, host_lock, packages, venv
from deploys.planning.engines.software import Build, Environment
from deploys.planning.inputs.locks import ArtifactLock
from deploys.stages import base, services, state, weights

plan = current_plan()
near, source = host.data.near, ArtifactLock(version="1", origin="github", **host.data.stub)
host_lock.acquire(name="Keep other runs away")
base.install()
packages.installed(
    name="Install a package of many files",
    packages=("manpages-dev",),
    manager=plan.package_manager,
    job="install-many",
)
artifact.unpacked(
    name="Unpack an archive",
    artifact=source,
    directory="/opt/modelrack/engines/archive/1",
    site=near,
)
build.installed(
    name="Compile a program",
    build=Build(
        name="stub",
        version="1",
        source=source,
        options=("CMAKE_BUILD_TYPE=Release",),
        targets=("stub",),
        toolchain=plan.system,
        packages=("cmake", "gcc", "libc6-dev", "ninja-build"),
    ),
    site=near,
    manager=plan.package_manager,
)
venv.installed(
    name="Make an environment",
    environment=Environment(
        name="python",
        version="1",
        lock=host.data.lock,
        digest="1" * 12,
        python="3.11",
        imports=("lab_indexed",),
    ),
    site=near,
)
llama_cpp.install()
weights.fetch()
services.retire()
llama_cpp.start()
state.record()
