"""The driver plan of cards that are not NVIDIA's: AMD's is installed, others are looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from deploys.control import locks as lock_files
from deploys.planning.driver import invariants
from deploys.planning.driver.choice import driver_plan
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import parsed, stack_of
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.locks import ArtifactLock, Locks
from deploys.planning.inputs.machine import Driver, Gpu, Holder, Kernel, Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import CN, GLOBAL, Site
from deploys.rendering import render
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import plan as host_plan

ARTIFACTS = lock_files.read(Site().locks).artifacts
MODULE, OLDER, TOO_OLD = "6.16.13", "6.16.6", "6.12.12"
PACKAGES = {
    "amdgpu-dkms": "1:6.16.13.30300300-2327507.22.04",
    "amdgpu-dkms-firmware": "30.30.3.0.30300300-2327507.22.04",
}
GPUS = {"mi300x": "MI300X", "ascend910b": "Ascend 910B"}
HOLDER = Holder(pid=4711, name="python3", unit="")


def bare(name: str = "mi300x", **fields: Any) -> Machine:
    there = Machine.from_json(MACHINES[name])
    kernels = (Kernel(release=fields.get("kernel", there.kernel), headers=True),)
    return replace(there, **{"kernels": kernels, **fields})


def driven(
    name: str = "mi300x",
    loaded: str | None = MODULE,
    *,
    disk: str | None = MODULE,
    packages: dict[str, str] | None = None,
    kfd: bool = True,
    toolkit: str | None = "9.0.0",
    seen: bool = True,
    **fields: Any,
) -> Machine:
    """A machine with a driver, whose tool sees the cards."""
    there = bare(name)
    installed = PACKAGES if packages is None else packages
    module = "amdgpu" if name == "mi300x" else "davinci"
    gpus = tuple(
        replace(gpu, index=index if seen else None, driver=module)
        for index, gpu in enumerate(there.gpus)
    )
    kernels = (Kernel(release=there.kernel, headers=True, module=disk),)
    driver = Driver(
        loaded=loaded, packages=installed, held=tuple(installed), kfd=kfd, toolkit=toolkit
    )
    return replace(there, **{"gpus": gpus, "kernels": kernels, "driver": driver, **fields})


def plan(
    there: Machine,
    *,
    site: Site | None = None,
    artifacts: dict[str, ArtifactLock] | None = None,
    gpu: str | None = None,
    **fields: Any,
) -> DriverPlan:
    name = gpu or GPUS[there.hostname.removesuffix("-01")]
    made = driver_plan(
        Inputs(
            profile=HostProfile(gpu=name, gpus=8, **fields),
            site=site or Site(),
            machine=there,
            locks=Locks(artifacts=ARTIFACTS if artifacts is None else artifacts),
            gpu=named(name),
            stack=stack_of(named(name)),
        ),
        compiles=False,
    )
    assert made is not None
    return made


def groups(of: DriverPlan) -> dict[str, tuple[str, ...]]:
    return {group.name: group.packages for group in of.groups}


# What a bare machine gets.


def test_a_bare_machine_gets_the_lanes_driver_from_the_repository_of_that_release() -> None:
    made = plan(bare())
    assert (made.vendor, made.action, made.version) == ("amd", "install", MODULE)
    assert made.reason == "no driver is loaded (AMD's driver 30.30.3 calls itself 6.16.13)"
    assert not made.reboot and not made.confirmed and "not run by us" in made.warnings[0]
    assert groups(made) == {
        "headers": ("linux-headers-generic", "linux-modules-extra-5.15.0-161-generic"),
        "driver": (
            "amdgpu-dkms=1:6.16.13.30300300-*",
            "amdgpu-dkms-firmware=30.30.3.0.30300300-*",
        ),
        "monitoring": ("amd-smi-lib", "rocminfo"),
    }
    assert made.holds == ("amdgpu-dkms", "amdgpu-dkms-firmware")
    assert (made.modules, made.blacklist, made.services) == (("amdgpu",), (), ())
    assert made.device_groups == ("render", "video")
    assert made.kernels == ("5.15.0-161-generic",)
    assert made.repository and made.repository.url == f"{GLOBAL.rocm}/amdgpu/30.30.3/ubuntu"
    assert made.tools and made.tools.url == f"{GLOBAL.rocm}/rocm/apt/7.2.3"
    assert made.repository.keyring == made.tools.keyring == ARTIFACTS["rocm-key"]
    json.dumps(asdict(made))


SYSTEMS = {
    "ubuntu 22.04 5.15.0-161-generic": ("jammy", "linux-headers-generic", True),
    "ubuntu 22.04 6.8.0-124-generic": ("jammy", "linux-headers-generic-hwe-22.04", True),
    "ubuntu 24.04 6.8.0-87-generic": ("noble", "linux-headers-generic", True),
    "debian 12 6.1.0-41-amd64": ("jammy", "linux-headers-amd64", False),
    "debian 13 6.12.48+deb13-amd64": ("noble", "linux-headers-amd64", False),
}


@pytest.mark.parametrize("there", SYSTEMS)
def test_debian_takes_the_suite_of_the_ubuntu_that_is_nearest(there: str) -> None:
    name, release, kernel = there.split()
    suite, headers, extra = SYSTEMS[there]
    made = plan(bare(os=name, os_version=release, kernel=kernel))
    assert made.repository and made.tools
    assert made.repository.suite == made.tools.suite == f"{suite} main"
    assert headers in groups(made)["headers"]
    assert (f"linux-modules-extra-{kernel}" in groups(made)["headers"]) == extra
    assert ("gcc-12" in groups(made)["headers"]) == ("22.04 6.8" in there)


def test_headers_of_the_running_kernel_and_of_the_next_one() -> None:
    kernels = tuple(
        Kernel(release=f"5.15.0-{build}-generic", headers=False) for build in (161, 170)
    )
    made = plan(bare(kernels=kernels))
    assert groups(made)["headers"] == (
        *("linux-headers-5.15.0-161-generic", "linux-headers-5.15.0-170-generic"),
        "linux-headers-generic",
        *("linux-modules-extra-5.15.0-161-generic", "linux-modules-extra-5.15.0-170-generic"),
    )


def test_a_kernel_of_nobody_we_know_is_warned_of() -> None:
    made = plan(bare(kernel="6.18.44-own"))
    assert groups(made)["headers"] == () and "does not compile" in made.warnings[-1]


def test_what_apt_reads() -> None:
    made = plan(bare())
    assert made.repository and made.tools
    key = "/etc/apt/keyrings/rocm-2de99e235464.asc"
    assert render.keyring(made.repository) == render.keyring(made.tools) == key
    listed, preferred = render.repository(host_plan(), made.repository)
    assert listed.path == "/etc/apt/sources.list.d/amdgpu.list"
    assert f"deb [signed-by={key}] {GLOBAL.rocm}/amdgpu/30.30.3/ubuntu jammy main\n" in (
        listed.content
    )
    assert "Pin: release o=repo.radeon.com\nPin-Priority: 600\n" in preferred.content
    assert render.repository(host_plan(), made.tools)[0].path.endswith("/rocm.list")


# Drivers that are there.


@pytest.mark.parametrize("module", [MODULE, OLDER, "6.14.14", "6.18.0"])
def test_a_driver_that_does_is_left_alone(module: str) -> None:
    made = plan(driven(loaded=module, disk=module))
    assert (made.action, made.version, made.groups) == ("none", module, ())
    assert made.repository is None and made.device_groups == ("render", "video")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"broken_packages": ("linux-firmware",)}, "half installed.*linux-firmware"),
        ({"driver": replace(driven().driver, held=())}, "No package of the driver is held"),
    ],
)
def test_what_is_not_well_is_reported(fields: dict[str, Any], words: str) -> None:
    made = plan(driven(**fields))
    assert made.action == "none" and re.search(words, " ".join(made.warnings))


def test_a_driver_that_came_without_packages_is_believed() -> None:
    """In a container the module is that of the computer around it."""
    made = plan(driven(disk=None, packages={}))
    assert made.action == "none" and made.kernels == ()


EXCHANGED: dict[str, tuple[Machine, str, bool]] = {
    "too old": (driven(loaded=TOO_OLD, disk=TOO_OLD), "module 6.12.12 is loaded", True),
    "the kernel's own": (
        driven(loaded=None, disk=None, packages={}, kfd=True),
        "the kernel's own amdgpu is loaded",
        True,
    ),
    "installed beside the kernel's own": (driven(loaded=None), "the kernel's own amdgpu", True),
    "upgraded under a running one": (driven(loaded=OLDER), "parts of driver 6.16.6", True),
    "without its tools": (driven(seen=False), "no tool is installed", False),
    "without a module for its own kernel": (driven(disk=None), "parts of driver 6.16.13", False),
}


@pytest.mark.parametrize("case", EXCHANGED)
def test_what_is_not_whole_is_installed(case: str) -> None:
    there, reason, reboot = EXCHANGED[case]
    made = plan(there)
    assert (made.action, made.reboot) == ("install", reboot)
    assert made.reason.startswith(reason)


def test_a_next_kernel_without_a_module_gets_one_without_a_reboot() -> None:
    there = driven()
    newer = Kernel(release="5.15.0-170-generic", headers=False)
    made = plan(replace(there, kernels=(*there.kernels, newer)))
    assert (made.action, made.reboot) == ("install", False)
    assert newer.release in made.kernels


# What stops it.

REFUSED: dict[str, tuple[Callable[[], object], str, str]] = {
    "RHEL": (
        lambda: plan(bare(os="rocky", os_version="9.6", kernel="5.14.0-570.el9.x86_64")),
        "on x86_64 with Ubuntu or Debian, and this is rocky 9.6",
        "ROCm 7.2.3 and driver 30.30.3 as AMD's guide for this system says",
    ),
    "ARM": (lambda: plan(bare(architecture="aarch64")), "22.04 on aarch64", "AMD's guide"),
    "Secure Boot": (lambda: plan(bare(secure_boot=True)), "Secure Boot is on", "mokutil --import"),
    "somebody's process": (
        lambda: plan(driven(loaded=TOO_OLD, holders=(HOLDER,))),
        r"not ours uses the GPUs: python3 \(pid 4711\)",
        "allow_busy_gpus=True",
    ),
    "no reboot is allowed": (
        lambda: plan(driven(loaded=None), reboot=False),
        "A reboot is needed, as the kernel's own amdgpu is loaded",
        "reboot=True",
    ),
    "no way to AMD": (
        lambda: plan(bare(), site=Site(mirrors=CN)),
        "no way to rocm",
        "mirrors.rocm",
    ),
    "a key that is not pinned": (
        lambda: plan(bare(), artifacts={}),
        "rocm-key, which signs the driver's packages, is not pinned",
        "sha256",
    ),
    "a version of one's own": (
        lambda: plan(bare(), driver="30.30.4"),
        "can be chosen for NVIDIA alone",
        "ROCm 7.2.3",
    ),
    "Ascend without a driver": (
        lambda: plan(bare("ascend910b")),
        "No driver is loaded for 8 x Ascend 910B",
        "HDK 25.5.2 for 910b on aarch64 (driver, then the firmware of the same HDK), reboot, CANN"
        " toolkit 9.0.0, CANN 910b ops 9.0.0, NNAL 9.0.0",
    ),
    "Ascend with an older driver": (
        lambda: plan(driven("ascend910b", "24.1.rc2")),
        "works with driver 25.5.2 and no other, and 24.1.rc2 is loaded",
        "Ascend HDK 25.5.2",
    ),
    "Ascend with a newer driver": (
        lambda: plan(driven("ascend910b", "26.0.0")),
        "works with driver 25.5.2 and no other, and 26.0.0 is loaded",
        "Ascend HDK 25.5.2",
    ),
    "Ascend without CANN": (
        lambda: plan(driven("ascend910b", "25.5.2", toolkit=None)),
        "CANN 9.0.0 with NNAL 9.0.0 is wanted, exactly, and the toolkit of CANN that is installed"
        " is none",
        "CANN toolkit 9.0.0, CANN 910b ops 9.0.0, NNAL 9.0.0",
    ),
    "Ascend with another CANN": (
        lambda: plan(driven("ascend910b", "25.5.2", toolkit="8.5.0")),
        "CANN that is installed is 8.5.0",
        "CANN toolkit 9.0.0",
    ),
    "Hygon without a driver": (
        lambda: plan(hygon(""), gpu="K100-AI"),
        "No driver is loaded for 8 x K100-AI",
        "Install DTK and its driver by the vendor's guide",
    ),
}


def hygon(driver: str) -> Machine:
    card = named("K100-AI").pci_ids[0]
    gpus = tuple(
        Gpu(address=f"0000:{index}1:00.0", pci_id=card, driver=driver) for index in range(8)
    )
    return bare(gpus=gpus)


@pytest.mark.parametrize("case", REFUSED)
def test_what_stops_it_says_what_to_do(case: str) -> None:
    decide, reason, hint = REFUSED[case]
    with pytest.raises(Refusal, match=reason) as refusal:
        decide()
    assert hint in refusal.value.hint
    assert not refusal.value.reason.endswith(".") and not refusal.value.hint.endswith(".")


def test_the_operators_word_goes_over_a_process() -> None:
    assert plan(driven(loaded=TOO_OLD, holders=(HOLDER,)), allow_busy_gpus=True).action == "install"


def test_the_ascend_driver_of_the_lane_is_used_and_marked() -> None:
    made = plan(driven("ascend910b", "25.5.2"))
    assert (made.vendor, made.action, made.version) == ("huawei", "none", "25.5.2")
    assert not made.confirmed and "not run by us" in made.warnings[0]
    silent = plan(driven("ascend910b", None))
    assert "25.5.2 and no other, and npu-smi does not say" in silent.warnings[1]


def test_hygons_driver_is_used_and_marked() -> None:
    made = plan(hygon("hydcu"), gpu="K100-AI")
    assert (made.vendor, made.action, made.confirmed) == ("hygon", "none", False)


def test_release_module_and_minimum_of_the_lane_go_together() -> None:
    stack = stack_of(named("MI300X"))
    assert stack.module and stack.minimum and parsed(stack.minimum) <= parsed(stack.module)
    assert stack.driver and re.fullmatch(r"\d\d\.\d\d\.\d", stack.driver)


# What must hold afterwards.

PLAN = plan(bare())
WRONG: dict[str, tuple[Machine, str]] = {
    "another module is loaded": (driven(loaded=OLDER), f"Driver {MODULE} is installed, and 6.16.6"),
    "the kernel's own is loaded": (driven(loaded=None), "and none is loaded"),
    "no module for the kernel": (driven(disk=None), "has module none"),
    "no device to compute through": (driven(kfd=False), "no /dev/kfd"),
    "a card is silent": (
        replace(driven(), gpus=(replace(driven().gpus[0], index=None), *driven().gpus[1:])),
        "7 of 8 GPUs answer",
    ),
    "nothing is held": (
        replace(driven(), driver=replace(driven().driver, held=())),
        "may replace amdgpu-dkms, amdgpu-dkms-firmware",
    ),
}


ADDRESSES = tuple(gpu.address for gpu in driven().gpus)


def test_a_machine_in_order_has_nothing_to_say() -> None:
    assert invariants.violations(PLAN, ADDRESSES, driven()) == ()


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_hold_is_reported_with_a_hint(case: str) -> None:
    there, words = WRONG[case]
    (found,) = invariants.violations(PLAN, ADDRESSES, there)
    assert words in found.reason
    assert found.hint and "nvidia" not in found.hint
