"""The base and one small program that has to be compiled."""

from pyinfra import host

from deploys.control.current_plan import current_plan
from deploys.operations import build
from deploys.planning.engines.software import Build
from deploys.planning.inputs.locks import ArtifactLock
from deploys.stages import base

plan = current_plan()
base.install()

build.installed(
    name="Install the stub",
    build=Build(
        name="stub",
        version="1",
        source=ArtifactLock(version="1", origin="github", **host.data.stub),
        options=("CMAKE_BUILD_TYPE=Release",),
        targets=("stub",),
        toolchain=plan.system,
        packages=("cmake", "gcc", "libc6-dev", "ninja-build"),
    ),
    site=plan.site,
    manager=plan.package_manager,
)
