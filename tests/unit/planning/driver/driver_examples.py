"""Machines with and without a driver, and the plan of it, which the tests of the driver vary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploys.control import locks as lock_files
from deploys.planning.driver.choice import driver_plan
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.locks import ArtifactLock, Locks
from deploys.planning.inputs.machine import Driver, Holder, Kernel, Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import Site
from tests.plans import update
from tests.plans.simulated import MACHINES

ARTIFACTS = lock_files.read(Site().locks).artifacts
WANTED = "580.178.04"
OLD = "535.261.03"
_CLASSES = {name: update.profile_of(name) for name in MACHINES}
# Kind and number of the cards of every class with NVIDIA's.
PROFILES = {
    name: (profile.gpu, profile.gpus)
    for name, profile in _CLASSES.items()
    if profile.gpu is not None and named(profile.gpu).vendor == "nvidia"
}
UBUNTU_RELEASES = {"22.04": "5.15.0-161-generic", "24.04": "6.8.0-87-generic"}


def machine(name: str = "h800", **fields: Any) -> Machine:
    """A bare machine of a class, with headers of its kernel, other where `fields` say so."""
    there = Machine.from_json(MACHINES[name])
    bare = {"kernels": (Kernel(release=fields.get("kernel", there.kernel), headers=True),)}
    return replace(there, **{**bare, **fields})


def driven(
    name: str = "h800",
    version: str = WANTED,
    *,
    loaded: str | None = None,
    userspace: str | None = None,
    flavour: str = "open",
    held: bool = True,
    packages: dict[str, str] | None = None,
    fabric: str | None = "same",
    active: bool = True,
    **fields: Any,
) -> Machine:
    """A machine with a driver: `version` on disk, the other places as said."""
    there = machine(name)
    installed = {"nvidia-dkms-580-open": f"{version}-1ubuntu1", "libnvidia-compute-580": version}
    installed = installed if packages is None else packages
    driver = Driver(
        loaded=loaded or version,
        flavour=flavour,
        userspace=userspace or version,
        fabric_manager=version if fabric == "same" else fabric,
        fabric_manager_active=active,
        packages=installed,
        held=tuple(installed) if held else (),
    )
    kernels = (Kernel(release=there.kernel, headers=True, module=version),)
    gpus = tuple(
        replace(each, index=index, driver="nvidia") for index, each in enumerate(there.gpus)
    )
    return replace(there, **{"driver": driver, "kernels": kernels, "gpus": gpus, **fields})


def plan(
    there: Machine,
    *,
    compiles: bool = False,
    compiles_later: bool = False,
    site: Site | None = None,
    artifacts: dict[str, ArtifactLock] | None = None,
    **fields: Any,
) -> DriverPlan:
    gpu, gpus = PROFILES[there.hostname.removesuffix("-01")]
    wanted = HostProfile(**{"gpu": gpu, "gpus": gpus, **fields})
    assert wanted.gpu is not None
    accelerator = named(wanted.gpu)
    made = driver_plan(
        Inputs(
            profile=wanted,
            site=site or Site(),
            machine=there,
            locks=Locks(artifacts=ARTIFACTS if artifacts is None else artifacts),
            gpu=accelerator,
            stack=stack_of(accelerator),
        ),
        compiles=compiles,
        compiles_later=compiles_later,
    )
    assert made is not None
    return made


def groups(of: DriverPlan) -> dict[str, tuple[str, ...]]:
    return {group.name: group.packages for group in of.groups}


def system(name: str, release: str, kernel: str) -> dict[str, str]:
    return {"os": name, "os_version": release, "kernel": kernel}


DEBIAN_12 = system("debian", "12", "6.1.0-41-amd64")
DEBIAN_13 = system("debian", "13", "6.12.48+deb13-amd64")
ROCKY_9 = system("rocky", "9.6", "5.14.0-570.12.1.el9_6.x86_64")
ROCKY_8 = system("rocky", "8.10", "4.18.0-553.el8_10.x86_64")
RHEL_9 = system("rhel", "9.6", "5.14.0-570.12.1.el9_6.x86_64")
LAB = "6.18.44-fc-v657"
HOLDER = Holder(pid=4711, name="python3", unit="")
TRAINING = Holder(pid=4712, name="python", unit="user@1000.service")
