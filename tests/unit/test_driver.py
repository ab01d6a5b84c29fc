"""The driver plan: machines as they are found, and what is done about them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.facts import locks as lock_files
from deploys.planning.driver.choice import driver_plan
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.gpus import named
from deploys.planning.lanes import LANES, lane_of
from deploys.planning.locks import ArtifactLock
from deploys.planning.machine import Driver, Holder, Kernel, Machine
from deploys.planning.profile import HostProfile
from deploys.planning.refusal import Refusal
from deploys.planning.site import CN, GLOBAL, Site
from tests.plans.simulated import MACHINES

ARTIFACTS = lock_files.read(Site().locks).artifacts
WANTED = "580.178.04"
OLD = "535.261.03"
PROFILES = {
    "h800": ("H800", 8),
    "h20": ("H20", 8),
    "h200": ("H200", 8),
    "a100": ("A100 PCIe", 2),
    "v100": ("V100", 2),
    "rtx4090": ("RTX 4090", 8),
    "rtx5090": ("RTX 5090", 8),
    "rtx3090": ("RTX 3090", 2),
    "rtx6000ada": ("RTX 6000 Ada", 4),
    "l40s": ("L40S", 8),
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
    site: Site | None = None,
    artifacts: dict[str, ArtifactLock] | None = None,
    **fields: Any,
) -> DriverPlan:
    gpu, gpus = PROFILES[there.hostname.removesuffix("-01")]
    wanted = HostProfile(**{"gpu": gpu, "gpus": gpus, **fields})
    assert wanted.gpu is not None
    accelerator = named(wanted.gpu)
    return driver_plan(
        there,
        wanted,
        accelerator,
        lane_of(accelerator),
        site or Site(),
        ARTIFACTS if artifacts is None else artifacts,
        compiles=compiles,
    )


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


# What a bare machine of each system gets.


def test_a_bare_ubuntu_gets_open_modules_fabric_manager_and_a_pin_before_them() -> None:
    made = plan(machine())
    assert (made.action, made.version, made.flavour) == ("install", WANTED, "open")
    assert made.reason == "no driver is loaded" and not made.reboot
    assert list(groups(made).items()) == [
        ("headers", ("linux-headers-generic",)),
        ("pinning", ("nvidia-driver-pinning-580.178.04",)),
        (
            "driver",
            (
                "nvidia-dkms-580-open=580.178.04-*",
                "libnvidia-compute-580=580.178.04-*",
                "nvidia-utils-580=580.178.04-*",
                "nvidia-persistenced=580.178.04-*",
            ),
        ),
        (
            "fabric manager",
            (
                "nvidia-fabricmanager=580.178.04-*",
                "libnvidia-nscq=580.178.04-*",
                "nvidia-imex=580.178.04-*",
            ),
        ),
        ("monitoring", ("datacenter-gpu-manager-4-cuda13",)),
    ]
    assert made.holds == (
        "nvidia-driver-pinning-580.178.04",
        *("nvidia-dkms-580-open", "libnvidia-compute-580", "nvidia-utils-580"),
        *("nvidia-persistenced", "nvidia-fabricmanager", "libnvidia-nscq", "nvidia-imex"),
    )
    assert made.fabric_manager and "nvidia-fabricmanager.service" in made.services
    assert made.system == "ubuntu2204" and made.package_manager == "apt"
    assert made.repository and made.repository.keyring == ARTIFACTS["cuda-keyring-ubuntu2204"]
    assert made.repository.url == f"{GLOBAL.cuda}/ubuntu2204/x86_64"
    assert "nouveau" in made.blacklist and "nvidia-" in made.blocklist
    assert made.kernels == ("5.15.0-161-generic",)
    assert made.warnings == ()


def test_a_site_with_a_mirror_is_asked_for_the_repository() -> None:
    made = plan(machine(), site=Site(mirrors=CN))
    assert made.repository and made.repository.url.startswith(f"{CN.cuda}/ubuntu2204/")


def test_no_fabric_manager_without_nvswitch() -> None:
    for name in ("rtx4090", "a100", "l40s"):
        made = plan(machine(name))
        assert not made.fabric_manager and "fabric manager" not in groups(made)
    # One H200 of eight, as clouds lend them.
    one = replace(machine("h200"), gpus=machine("h200").gpus[:1], nvswitches=0)
    assert not plan(one, gpus=1).fabric_manager
    assert plan(replace(one, nvswitches=4), gpus=1).fabric_manager


def test_switches_of_blackwell_have_a_manager_of_their_own() -> None:
    b200 = replace(
        machine("h200"),
        gpus=tuple(replace(each, pci_id="10de:2901") for each in machine("h200").gpus),
    )
    packages = groups(plan(b200, gpu="B200"))["fabric manager"]
    assert packages[-3:] == ("libnvsdm=580.178.04-*", "nvlsm", "infiniband-diags")


def test_volta_gets_the_last_branch_with_proprietary_modules() -> None:
    made = plan(machine("v100"), compiles=True)
    assert made.flavour == "proprietary" and made.version.startswith("580.")
    assert groups(made)["driver"][0] == "nvidia-dkms-580=580.178.04-*"
    assert groups(made)["toolkit"] == ("cuda-toolkit-12-9",)
    assert groups(made)["monitoring"] == ("datacenter-gpu-manager-4-cuda12",)


def test_debian_has_names_without_a_branch() -> None:
    made = plan(machine("rtx4090", **DEBIAN_12), compiles=True)
    assert groups(made)["headers"] == ("linux-headers-amd64",)
    assert groups(made)["driver"][:2] == (
        "nvidia-kernel-open-dkms=580.178.04-*",
        "nvidia-driver-cuda=580.178.04-*",
    )
    assert groups(made)["toolkit"] == ("cuda-toolkit-13-0",)
    assert made.system == "debian12" and made.repository and made.repository.needs == ("contrib",)
    proprietary = groups(plan(machine("v100", **DEBIAN_12)))["driver"][0]
    assert proprietary == "nvidia-kernel-dkms=580.178.04-*"


def test_debian_13_has_a_directory_and_a_toolkit_of_its_own() -> None:
    made = plan(machine("rtx4090", **DEBIAN_13), compiles=True)
    assert made.system == "debian13" and "monitoring" not in groups(made)
    assert groups(made)["toolkit"] == ("cuda-toolkit-13-1",)
    assert made.repository and made.repository.keyring == ARTIFACTS["cuda-keyring-debian13"]


@pytest.mark.parametrize(
    ("there", "directory", "needs", "first"),
    [
        (ROCKY_9, "rhel9", "crb", "epel-release"),
        (ROCKY_8, "rhel8", "powertools", "epel-release"),
        (RHEL_9, "rhel9", "codeready-builder-for-rhel-9-x86_64-rpms", "dnf-plugins-core"),
    ],
)
def test_rhel_and_its_kin_have_a_module_stream(
    there: dict[str, str], directory: str, needs: str, first: str
) -> None:
    bare = machine("h800", **there)
    made = plan(replace(bare, kernels=(Kernel(release=bare.kernel, headers=False),)))
    assert made.package_manager == "dnf" and made.system == directory
    assert made.repository and made.repository.module == "nvidia-driver:580-open"
    assert made.repository.needs == (needs,) and made.repository.keyring is None
    assert groups(made)["prerequisites"][0] == first
    assert groups(made)["headers"][:2] == (f"kernel-devel-{bare.kernel}", "kernel-headers")
    assert groups(made)["driver"] == (
        "kmod-nvidia-open-dkms-580.178.04",
        "nvidia-driver-cuda-580.178.04",
        "nvidia-persistenced-580.178.04",
    )
    assert "nvidia-fabricmanager-580.178.04" in groups(made)["fabric manager"]
    assert "pinning" not in groups(made) and made.blocklist == ()
    assert ("EPEL" in " ".join(made.warnings)) == (there["os"] == "rhel")


def test_a_newer_branch_has_no_suffix_on_ubuntu() -> None:
    made = plan(machine(), driver="595.91.07")
    assert made.version == "595.91.07"
    assert groups(made)["pinning"] == ("nvidia-driver-pinning-595.91.07",)
    assert groups(made)["driver"][:2] == (
        "nvidia-dkms-open=595.91.07-*",
        "libnvidia-compute=595.91.07-*",
    )


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (system("ubuntu", "22.04", "5.15.0-161-generic"), "linux-headers-generic"),
        (system("ubuntu", "22.04", "6.8.0-87-generic"), "linux-headers-generic-hwe-22.04"),
        (system("ubuntu", "24.04", "6.8.0-87-generic"), "linux-headers-generic"),
        (system("ubuntu", "24.04", "6.14.0-33-generic"), "linux-headers-generic-hwe-24.04"),
        (system("ubuntu", "22.04", "6.8.0-1036-aws"), "linux-headers-aws"),
        (system("ubuntu", "24.04", "6.8.0-87-lowlatency"), "linux-headers-lowlatency"),
        (system("debian", "12", "6.1.0-41-cloud-amd64"), "linux-headers-cloud-amd64"),
        (DEBIAN_13, "linux-headers-amd64"),
    ],
)
def test_headers_follow_the_flavour_of_the_kernel(there: dict[str, str], expected: str) -> None:
    bare = machine("rtx4090", **there)
    assert groups(plan(bare))["headers"] == (expected,)
    without = replace(bare, kernels=(Kernel(release=bare.kernel, headers=False),))
    assert groups(plan(without))["headers"] == (f"linux-headers-{bare.kernel}", expected)


def test_a_kernel_of_nobody_we_know_gets_its_own_headers_and_a_warning() -> None:
    bare = machine("rtx4090", kernel=LAB, kernels=(Kernel(release=LAB, headers=False),))
    made = plan(bare)
    assert groups(made)["headers"] == (f"linux-headers-{LAB}",)
    assert "none of the distribution's" in made.warnings[0]


def test_the_newest_kernel_is_served_as_well_as_the_running_one() -> None:
    newer = Kernel(release="5.15.0-170-generic", headers=False)
    older = Kernel(release="5.15.0-97-generic", headers=False)
    running = Kernel(release="5.15.0-161-generic", headers=True)
    made = plan(machine(kernels=(older, running, newer)))
    assert made.kernels == (running.release, newer.release)
    assert groups(made)["headers"] == (
        f"linux-headers-{newer.release}",
        "linux-headers-generic",
    )


# Drivers that are there.


def test_a_driver_that_is_right_is_left_alone() -> None:
    made = plan(driven())
    assert (made.action, made.version, made.reason) == ("none", WANTED, "")
    assert made.groups == () and made.holds == () and made.repository is None
    assert not made.reboot and made.warnings == ()


@pytest.mark.parametrize("version", ["580.65.06", "580.95.05", "595.91.07", "610.57.04"])
@pytest.mark.parametrize("flavour", ["open", "proprietary"])
def test_any_driver_that_does_may_stay(version: str, flavour: str) -> None:
    made = plan(driven("rtx4090", version, flavour=flavour))
    assert (made.action, made.version, made.flavour) == ("none", version, flavour)


def test_only_the_toolkit_is_added_to_a_driver_that_is_right() -> None:
    made = plan(driven(), compiles=True)
    assert made.action == "none" and list(groups(made)) == ["toolkit"]
    # Nothing of what is there may come from it.
    assert made.repository and made.repository.priority == 100


def test_a_driver_that_came_without_packages_is_believed() -> None:
    """In a container the module is that of the computer around it."""
    lent = driven("rtx4090", packages={})
    there = replace(lent, kernels=(Kernel(release=lent.kernel, headers=False),))
    assert plan(there).action == "none"
    assert plan(replace(there, kernels=())).action == "none"


def test_an_old_driver_is_exchanged_with_a_reboot() -> None:
    made = plan(driven(version=OLD))
    assert (made.action, made.version, made.reboot) == ("install", WANTED, True)
    assert made.reason == f"driver {OLD} is loaded and {WANTED} is wanted"


def test_an_operators_version_is_had_exactly() -> None:
    made = plan(driven("rtx4090", "580.95.05"), driver="580.126.20")
    assert (made.action, made.version, made.reboot) == ("install", "580.126.20", True)
    assert plan(driven("rtx4090", "580.126.20"), driver="580.126.20").action == "none"


def test_an_upgrade_under_a_running_driver_only_needs_the_reboot() -> None:
    there = driven("rtx4090", loaded="580.95.05")
    made = plan(there)
    assert (made.action, made.version, made.reboot) == ("reboot", WANTED, True)
    assert made.reason == f"driver 580.95.05 is loaded and {WANTED} is installed"
    assert made.groups == ()


def test_a_run_of_ours_that_was_cut_goes_on_to_its_holds() -> None:
    packages = {"nvidia-driver-pinning-580.178.04": "580.178.04-1ubuntu1", "nvidia-dkms-580": "1"}
    made = plan(driven("rtx4090", loaded=OLD, packages=packages, held=False))
    assert (made.action, made.reboot) == ("install", True)
    assert made.holds and "driver" in groups(made)


def test_an_installed_driver_that_was_never_loaded_needs_no_reboot() -> None:
    there = driven("rtx4090")
    never = replace(there, driver=replace(there.driver, loaded=None, flavour=None))
    made = plan(never)
    assert (made.action, made.version, made.reboot) == ("install", WANTED, False)


def test_libraries_of_another_version_than_the_module_are_repaired() -> None:
    made = plan(driven("rtx4090", userspace="580.95.05"))
    assert (made.action, made.version, made.reboot) == ("install", WANTED, True)
    assert made.reason == f"parts of driver {WANTED} are missing or of another version"


def test_a_module_that_dkms_could_not_build_is_repaired() -> None:
    there = driven("rtx4090")
    made = plan(replace(there, kernels=(Kernel(release=there.kernel, headers=False),)))
    assert made.action == "install"
    assert f"linux-headers-{there.kernel}" in groups(made)["headers"]


def test_a_kernel_of_the_next_boot_without_a_module_gets_one_and_no_reboot() -> None:
    there = driven()
    newer = Kernel(release="5.15.0-170-generic", headers=False)
    made = plan(replace(there, kernels=(*there.kernels, newer)))
    assert (made.action, made.reboot, made.version) == ("install", False, WANTED)
    assert list(groups(made)) == ["headers"]
    assert made.reason == "kernel 5.15.0-170-generic has no module of the driver"


def test_blackwell_does_not_keep_proprietary_modules_nor_volta_open_ones() -> None:
    made = plan(driven("rtx5090", flavour="proprietary"))
    assert (made.action, made.flavour, made.reboot) == ("install", "open", True)
    assert "module does not drive these cards" in made.reason
    assert plan(driven("v100", flavour="open")).flavour == "proprietary"


def test_nouveau_is_put_away_with_a_reboot() -> None:
    made = plan(machine(nouveau=True, nouveau_in_initramfs=True))
    assert (made.action, made.reboot) == ("install", True)
    assert made.reason == "the kernel's own nouveau holds the GPUs"


@pytest.mark.parametrize(
    ("fabric", "active"), [("570.86.15", True), (None, False), ("same", False)]
)
def test_a_fabric_manager_follows_the_driver_that_is_there(
    fabric: str | None, active: bool
) -> None:
    made = plan(driven(version="580.95.05", fabric=fabric, active=active))
    assert (made.action, made.version, made.reboot) == ("install", "580.95.05", False)
    assert list(groups(made)) == ["fabric manager"]
    assert groups(made)["fabric manager"][0] == "nvidia-fabricmanager=580.95.05-*"
    assert made.repository and made.repository.priority == 100
    assert made.services == ("nvidia-fabricmanager.service",)


# Secure Boot and Canonical's own build.


def test_secure_boot_gets_the_modules_that_canonical_signs() -> None:
    made = plan(machine(secure_boot=True))
    assert made.repository is None and made.version == "580"
    assert made.accepts("580.173.02") and not made.accepts("595.91.07")
    assert not made.accepts("5801.1") and not made.accepts(None)
    assert groups(made)["driver"] == (
        "linux-modules-nvidia-580-server-open-5.15.0-161-generic",
        "linux-modules-nvidia-580-server-open-generic",
        "nvidia-headless-no-dkms-580-server-open",
        "nvidia-utils-580-server",
    )
    assert groups(made)["fabric manager"] == ("nvidia-fabricmanager-580", "libnvidia-nscq-580")
    assert "monitoring" not in groups(made) and "headers" not in groups(made)
    volta = groups(plan(machine("v100", secure_boot=True)))["driver"]
    assert volta[1:] == (
        "linux-modules-nvidia-580-server-generic",
        "nvidia-headless-no-dkms-580-server",
        "nvidia-utils-580-server",
    )


def test_a_driver_of_canonical_keeps_canonicals_fabric_manager() -> None:
    canonical = {"nvidia-utils-580-server": "580.173.02-0ubuntu0.22.04.1"}
    made = plan(driven(version="580.173.02", packages=canonical, fabric=None, active=False))
    assert groups(made) == {"fabric manager": ("nvidia-fabricmanager-580", "libnvidia-nscq-580")}
    assert made.repository is None and made.version == "580.173.02"


def test_a_signed_driver_that_is_loaded_needs_no_archive() -> None:
    there = driven("rtx4090", secure_boot=True, **DEBIAN_12)
    there = replace(
        there, kernels=(Kernel(release=there.kernel, headers=True, module=WANTED, signed=True),)
    )
    assert plan(there).action == "none"


# What stops it.

HOLDER = Holder(pid=4711, name="python3", unit="")
TRAINING = Holder(pid=4712, name="python", unit="user@1000.service")

REFUSED: dict[str, tuple[Callable[[], object], str, str]] = {
    "a card is missing": (
        lambda: plan(replace(machine(), gpus=machine().gpus[:7])),
        "1 of 8 H800 are missing: the PCI bus shows 7",
        "reseat or replace",
    ),
    "cards of another kind": (
        lambda: plan(machine("h800"), gpu="H20"),
        "8 x H20, and there is H800 on the PCI bus",
        "Name what is there",
    ),
    "a card has fallen off the bus": (
        lambda: plan(
            replace(driven(), gpus=(replace(driven().gpus[0], index=None), *driven().gpus[1:]))
        ),
        "The driver does not see 1 of 8 H800, at 0000:18:00.0",
        "dmesg for Xid",
    ),
    "somebody's process": (
        lambda: plan(driven(version=OLD, holders=(HOLDER, TRAINING))),
        r"not ours uses the GPUs: python3 \(pid 4711\) and 1 more",
        "busy_gpus=True",
    ),
    "somebody's unit": (
        lambda: plan(driven(version=OLD, holders=(TRAINING,))),
        r"python \(pid 4712, user@1000.service\)",
        "Stop it",
    ),
    "no reboot is allowed": (
        lambda: plan(driven(version=OLD), reboot=False),
        f"A reboot is needed, as driver {OLD} is loaded and {WANTED} is wanted",
        "reboot=True",
    ),
    "no reboot for nouveau either": (
        lambda: plan(machine(nouveau=True), reboot=False),
        "nouveau holds the GPUs, and the profile forbids it",
        "reboot=True",
    ),
    "no reboot after an upgrade": (
        lambda: plan(driven(loaded="580.95.05"), reboot=False),
        f"driver 580.95.05 is loaded and {WANTED} is installed",
        "reboot=True",
    ),
    "driver older than the lane": (
        lambda: plan(machine(), driver="550.90.07"),
        "Driver 550.90.07 is older than 580.65.06",
        "leave driver out",
    ),
    "driver newer than the cards": (
        lambda: plan(machine("v100"), driver="595.91.07"),
        "branch 580 was the last",
        "Leave driver out",
    ),
    "Secure Boot on Debian": (
        lambda: plan(machine("rtx4090", secure_boot=True, **DEBIAN_12)),
        "Secure Boot is on, and debian has no driver modules",
        "mokutil --import",
    ),
    "Secure Boot on Rocky": (
        lambda: plan(machine("rtx4090", secure_boot=True, **ROCKY_9)),
        "Secure Boot is on",
        "turn Secure Boot off",
    ),
    "Secure Boot with a kernel of one's own": (
        lambda: plan(machine("rtx4090", secure_boot=True, kernel=LAB)),
        f"signs no driver modules for kernel {LAB}",
        "linux-generic",
    ),
    "Secure Boot with a version": (
        lambda: plan(machine(secure_boot=True), driver="580.178.04"),
        "Canonical builds one version of branch 580",
        "Leave driver out",
    ),
    "driver of NVIDIA's own installer": (
        lambda: plan(driven("rtx4090", OLD, packages={})),
        f"Driver {OLD} was installed by NVIDIA's own installer",
        "nvidia-uninstall",
    ),
    "unknown system": (
        lambda: plan(machine("rtx4090", **system("ubuntu", "26.04", "7.0.0-30-generic"))),
        "driver packages on ubuntu 26.04 are not known",
        "Ubuntu 22.04 or 24.04",
    ),
    "key that no source states": (
        lambda: plan(machine("rtx4090", architecture="aarch64")),
        "cuda-keyring-ubuntu2204-sbsa, which signs",
        "Pin it there",
    ),
    "no packages for the architecture": (
        lambda: plan(machine("rtx4090", architecture="aarch64", **DEBIAN_13)),
        "no packages for debian 13 on aarch64",
        "Ubuntu 24.04",
    ),
    "Windows below": (
        lambda: plan(machine("rtx4090", kernel="5.15.167.4-microsoft-standard-WSL2")),
        "Windows",
        "Update the driver in Windows",
    ),
    "no toolkit for Volta on Debian 13": (
        lambda: plan(machine("v100", **DEBIAN_13), compiles=True),
        "no toolkit of CUDA 12.9 for debian 13",
        "Ollama",
    ),
    "no way to NVIDIA": (
        lambda: plan(machine(), site=Site(mirrors=replace(GLOBAL, cuda=None))),
        "no way to cuda, which ubuntu2204/x86_64 comes from",
        "mirrors.cuda",
    ),
    "key that is not pinned": (
        lambda: plan(machine(), artifacts={}),
        "cuda-keyring-ubuntu2204, which signs the driver's packages, is not pinned",
        "sha256",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_stops_it_says_what_to_do(case: str) -> None:
    decide, reason, way_out = REFUSED[case]
    with pytest.raises(Refusal, match=reason) as refusal:
        decide()
    assert way_out in refusal.value.way_out
    assert not refusal.value.reason.endswith(".") and not refusal.value.way_out.endswith(".")


def test_the_operators_word_goes_over_a_process() -> None:
    made = plan(driven(version=OLD, holders=(HOLDER,)), busy_gpus=True)
    assert made.action == "install"


@pytest.mark.parametrize(
    "holder",
    [
        Holder(pid=1, name="python3", unit="vllm@deepseek-r1.service"),
        Holder(pid=1, name="llama-server", unit="llama-server@tiny.service"),
        Holder(pid=1, name="ollama", unit="ollama@tiny.service"),
        Holder(pid=1, name="nvidia-persistenced", unit="nvidia-persistenced.service"),
        Holder(pid=1, name="nv-fabricmanager", unit=""),
        Holder(pid=1, name="nv-hostengine", unit="nvidia-dcgm.service"),
    ],
)
def test_our_own_services_and_the_drivers_are_not_somebody(holder: Holder) -> None:
    assert plan(driven(version=OLD, holders=(holder,))).action == "install"


def test_somebody_on_the_gpus_is_no_matter_where_nothing_is_exchanged() -> None:
    assert plan(driven(holders=(HOLDER,))).action == "none"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"broken_packages": ("linux-firmware",)}, "half installed.*linux-firmware"),
        ({"xids": ("NVRM: Xid (PCI:0000:18:00): 79",)}, "Xid .* 79"),
        ({"nouveau_in_initramfs": True}, "next boot"),
    ],
)
def test_what_is_not_well_is_said(fields: dict[str, Any], words: str) -> None:
    made = plan(driven(**fields))
    assert made.action == "none" and re.search(words, " ".join(made.warnings))


def test_cards_that_are_not_well_are_said() -> None:
    there = driven()
    ill = replace(there.gpus[0], uncorrected=3, remap_pending=True, mig=True)
    warnings = " ".join(plan(replace(there, gpus=(ill, *there.gpus[1:]))).warnings)
    assert "3 uncorrected" in warnings and "reset" in warnings and "MIG" in warnings


def test_packages_that_nobody_holds_are_said() -> None:
    assert "held" in plan(driven(held=False)).warnings[0]
    assert "held" not in " ".join(plan(driven(packages={}, held=False)).warnings)


def test_fewer_declared_than_there_are_is_said() -> None:
    assert "uses 4 of 8" in plan(driven("rtx4090"), gpus=4).warnings[0]


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize(
    "there",
    [
        *(system("ubuntu", release, kernel) for release, kernel in UBUNTU_RELEASES.items()),
        *(DEBIAN_12, DEBIAN_13, ROCKY_8, ROCKY_9, RHEL_9),
    ],
    ids=lambda there: f"{there['os']}-{there['os_version']}",
)
def test_every_class_on_every_system_has_a_plan_in_order(name: str, there: dict[str, str]) -> None:
    made = plan(machine(name, **there))
    order = ["prerequisites", "headers", "pinning", "driver", "fabric manager", "monitoring"]
    assert list(groups(made)) == [each for each in order if each in groups(made)]
    assert {"headers", "driver"} <= set(groups(made))
    assert made.version == lane_of(named(PROFILES[name][0])).driver
    # What is held is what was installed at that version.
    asked = [package for group in made.groups for package in group.packages]
    assert all(any(package.startswith(name) for package in asked) for name in made.holds)
    json.dumps(asdict(made))


def test_the_lanes_driver_does_for_its_own_lane() -> None:
    for lane in LANES:
        if lane.vendor == "nvidia":
            for name, (gpu, _) in PROFILES.items():
                if lane_of(named(gpu)) is lane:
                    assert lane.driver
                    there = driven(name, lane.driver, flavour=lane.flavour)
                    assert plan(there).action == "none"


VERSIONS = st.sampled_from([None, OLD, "550.90.07", "580.65.06", WANTED, "595.91.07"])


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["h800", "v100", "rtx5090", "a100"]),
    there=st.sampled_from([{}, DEBIAN_12, DEBIAN_13, ROCKY_9]),
    places=st.tuples(VERSIONS, VERSIONS, VERSIONS, VERSIONS),
    flavour=st.sampled_from(["open", "proprietary"]),
    flags=st.tuples(*[st.booleans()] * 8),
    driver=st.sampled_from([None, WANTED, "595.91.07"]),
)
def test_whatever_is_found_the_plan_keeps_its_word(
    name: str,
    there: dict[str, str],
    places: tuple[str | None, ...],
    flavour: str,
    flags: tuple[bool, ...],
    driver: str | None,
) -> None:
    loaded, disk, userspace, fabric = places
    nouveau, secure, active, packaged, held, busy, reboot, compiles = flags
    bare = machine(name, **there)
    packages = {"nvidia-dkms-580-open": "1", "nvidia-driver-pinning-580.178.04": "1"}
    found = replace(
        bare,
        nouveau=nouveau,
        secure_boot=secure,
        holders=(HOLDER,) if busy else (),
        kernels=(Kernel(release=bare.kernel, headers=True, module=disk),),
        driver=Driver(
            loaded=loaded,
            flavour=flavour if loaded else None,
            userspace=userspace,
            fabric_manager=fabric,
            fabric_manager_active=active,
            packages=packages if packaged else {},
            held=tuple(packages) if held and packaged else (),
        ),
    )
    try:
        made = plan(found, driver=driver, reboot=reboot, compiles=compiles)
    except Refusal as refusal:
        assert refusal.reason and refusal.way_out
        return
    # A driver changes only where nobody else works, and with leave to reboot.
    if made.reboot:
        assert reboot and not busy and made.action != "none"
    if made.action == "none":
        assert loaded == userspace and made.accepts(loaded) and loaded != OLD
        assert not made.fabric_manager or (fabric == loaded and active)
        assert {group.name for group in made.groups} <= {"toolkit"}
    else:
        assert made.reason
    # Exactly the operator's version, and never one that does not drive the cards.
    assert driver is None or made.version == driver
    assert name != "v100" or made.version.split(".")[0] <= "580"
    # Packages come from somewhere: NVIDIA's repository, or Canonical's own archive.
    if made.repository is None and made.groups:
        assert found.os == "ubuntu"
    # Nothing unsigned is built where the firmware refuses it.
    if secure and any(group.name == "driver" for group in made.groups):
        assert made.repository is None or "toolkit" in groups(made)
        assert not any(
            "dkms" in package for package in groups(made)["driver"] if "no-dkms" not in package
        )
