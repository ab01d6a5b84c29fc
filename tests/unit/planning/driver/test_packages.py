"""The driver plan: which packages a bare machine of each system gets."""

from __future__ import annotations

import ast
import json
from dataclasses import asdict, replace

import pytest

from deploys.planning.driver.plan import GROUPS
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.machine import Kernel
from deploys.planning.inputs.site import CN, GLOBAL, Site
from tests.unit import ROOT
from tests.unit.planning.driver.driver_examples import (
    ARTIFACTS,
    DEBIAN_12,
    DEBIAN_13,
    LAB,
    PROFILES,
    RHEL_9,
    ROCKY_8,
    ROCKY_9,
    UBUNTU_RELEASES,
    WANTED,
    driven,
    groups,
    machine,
    plan,
    system,
)


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
    assert groups(made)["CUDA libraries"] == ("cuda-cudart-12-9", "libcublas-12-9")
    assert groups(made)["monitoring"] == ("datacenter-gpu-manager-4-cuda12",)


def test_debian_has_names_without_a_branch() -> None:
    made = plan(machine("rtx4090", **DEBIAN_12), compiles=True)
    assert groups(made)["headers"] == ("linux-headers-amd64",)
    assert groups(made)["driver"][:2] == (
        "nvidia-kernel-open-dkms=580.178.04-*",
        "nvidia-driver-cuda=580.178.04-*",
    )
    assert groups(made)["CUDA libraries"] == ("cuda-cudart-13-0", "libcublas-13-0")
    assert made.system == "debian12" and made.repository and made.repository.needs == ("contrib",)
    proprietary = groups(plan(machine("v100", **DEBIAN_12)))["driver"][0]
    assert proprietary == "nvidia-kernel-dkms=580.178.04-*"


def test_an_engine_that_compiles_while_it_runs_gets_a_toolkit() -> None:
    made = plan(machine("rtx4090", **DEBIAN_12), compiles_later=True)
    assert groups(made)["CUDA compiler"] == (
        *("cuda-minimal-build-12-9", "libcublas-dev-12-9"),
        *("cuda-cuobjdump-12-9", "cuda-nvrtc-dev-12-9", "libcurand-dev-12-9"),
    )
    assert "CUDA libraries" not in groups(made) and made.cuda is None
    there = plan(driven(), compiles_later=True)
    assert there.action == "none" and list(groups(there)) == ["CUDA compiler"]
    assert there.repository is not None and there.repository.priority == 100


def test_debian_13_has_a_directory_and_a_toolkit_of_its_own() -> None:
    made = plan(machine("rtx4090", **DEBIAN_13), compiles=True)
    assert made.system == "debian13" and "monitoring" not in groups(made)
    assert groups(made)["CUDA libraries"] == ("cuda-cudart-13-1", "libcublas-13-1")
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
        (system("debian", "12", "6.1.0-37-rt-amd64"), "linux-headers-rt-amd64"),
        (system("debian", "12", "6.1.0-37-rt-arm64"), "linux-headers-rt-arm64"),
        (system("ubuntu", "24.04", "6.11.0-1024-oem"), "linux-headers-oem-24.04"),
        (system("ubuntu", "24.04", "6.8.0-1013-nvidia-64k"), "linux-headers-nvidia-64k"),
        (system("ubuntu", "24.04", "6.11.0-1016-nvidia"), "linux-headers-nvidia-hwe-24.04"),
    ],
)
def test_headers_follow_the_flavour_of_the_kernel(there: dict[str, str], expected: str) -> None:
    bare = machine("rtx4090", **there)
    assert groups(plan(bare))["headers"] == (expected,)
    without = replace(bare, kernels=(Kernel(release=bare.kernel, headers=False),))
    assert groups(plan(without))["headers"] == (f"linux-headers-{bare.kernel}", expected)


@pytest.mark.parametrize(
    ("kernel", "brings", "expected"),
    [
        ("6.14.0-1007-azure-nvidia", "linux-image-azure-nvidia", "linux-headers-azure-nvidia"),
        ("6.17.0-1005-azure-fde", "linux-image-azure-fde", "linux-headers-azure-fde"),
        ("6.8.0-1020-gke", "linux-image-gke", "linux-headers-gke"),
        ("6.8.0-1014-ibm", "linux-image-ibm-classic", "linux-headers-ibm-classic"),
        ("6.8.0-1019-nvidia-lowlatency", "linux-image-some-kind", "linux-headers-some-kind"),
        ("6.11.0-1024-oem", "linux-image-oem-24.04d", "linux-headers-oem-24.04d"),
        ("6.8.0-87-generic", "linux-image-virtual", "linux-headers-virtual"),
        ("6.8.12-4-pve", "proxmox-kernel-6.8", "proxmox-headers-6.8"),
        ("6.8.12-4-pve", "proxmox-default-kernel", "proxmox-default-headers"),
    ],
)
def test_headers_come_with_what_brings_the_kernels(kernel: str, brings: str, expected: str) -> None:
    """Of any flavour: who ships one ships packages of its headers under the same name."""
    there = machine("rtx4090", **system("ubuntu", "24.04", kernel), kernel_packages=(brings,))
    assert groups(plan(there))["headers"] == (expected,)
    assert not any("gets no headers" in warning for warning in plan(there).warnings)


def test_kernels_of_two_flavours_are_both_followed() -> None:
    """A cloud's kernel runs, and another package has brought a newer one of the release."""
    running, newer = "6.8.0-1021-aws", "6.14.0-33-generic"
    there = machine("rtx4090", **system("ubuntu", "24.04", running))
    there = replace(
        there,
        kernels=(Kernel(release=running, headers=True), Kernel(release=newer, headers=False)),
        kernel_packages=("linux-image-aws", "linux-image-generic-hwe-24.04"),
    )
    following = ("linux-headers-aws", "linux-headers-generic-hwe-24.04")
    assert groups(plan(there))["headers"] == (f"linux-headers-{newer}", *following)


def test_proxmox_calls_its_headers_otherwise() -> None:
    there = machine("rtx4090", **system("debian", "12", "6.8.12-4-pve"))
    there = replace(there, kernels=(Kernel(release=there.kernel, headers=False),))
    expected = ("proxmox-headers-6.8.12-4-pve", "proxmox-default-headers")
    assert groups(plan(there))["headers"] == expected


@pytest.mark.parametrize(
    "kernel", ["6.8.0-1020-gke", "6.14.0-1007-azure-nvidia", "6.8.0-1019-nvidia-lowlatency"]
)
def test_a_flavour_that_nothing_keeps_up_to_date_is_not_called_a_strangers(kernel: str) -> None:
    made = plan(machine("rtx4090", **system("ubuntu", "24.04", kernel)))
    assert made.warnings[0].startswith(f"Kernel {kernel} is one that no installed package keeps")


@pytest.mark.parametrize(
    ("release", "packages"),
    [
        ("5.14.0-570.12.1.el9_6.x86_64", ("kernel-devel-{}", "kernel-devel-matched")),
        ("5.14.0-570.12.1.el9_6.x86_64+rt", ("kernel-rt-devel-{}", "kernel-rt-devel-matched")),
        ("5.14.0-570.12.1.el9_6.aarch64+64k", ("kernel-64k-devel-{}", "kernel-64k-devel-matched")),
        ("5.15.0-300.163.18.el9uek.x86_64", ("kernel-uek-devel-{}", "kernel-uek-devel")),
    ],
)
def test_kinds_of_kernel_on_rhel(release: str, packages: tuple[str, str]) -> None:
    there = machine("rtx4090", **system("rocky", "9.6", release))
    there = replace(there, kernels=(Kernel(release=release, headers=False),))
    devel, new = packages
    expected = (devel.format(release.partition("+")[0]), "kernel-headers", new)
    assert groups(plan(there))["headers"] == expected


def test_a_backport_is_not_followed_by_the_releases_own_headers() -> None:
    there = machine("rtx4090", **system("debian", "12", "6.12.30+bpo-amd64"))
    assert "headers" not in groups(plan(there))
    assert "no installed package keeps up to date" in plan(there).warnings[0]


def test_a_kernel_of_nobody_we_know_gets_its_own_headers_and_a_warning() -> None:
    bare = machine("rtx4090", kernel=LAB, kernels=(Kernel(release=LAB, headers=False),))
    made = plan(bare)
    assert groups(made)["headers"] == (f"linux-headers-{LAB}",)
    assert "not one of the distribution's" in made.warnings[0]


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
    assert made.version == stack_of(named(PROFILES[name][0])).driver
    # What is held is what was installed at that version.
    asked = [package for group in made.groups for package in group.packages]
    assert all(any(package.startswith(name) for package in asked) for name in made.holds)
    json.dumps(asdict(made))


def test_an_unknown_group_is_an_error_and_one_that_a_machine_does_not_need_is_empty() -> None:
    made = plan(machine())
    assert made.group("driver") and made.group("prerequisites") == ()
    with pytest.raises(ValueError, match="no group of driver packages 'fabric-manager'"):
        made.group("fabric-manager")  # type: ignore[arg-type]


def test_every_group_is_installed_by_a_stage() -> None:
    """And none is asked for that no plan can have."""
    asked = [
        node.args[0].value
        for stage in (ROOT / "deploys" / "stages").glob("*.py")
        for node in ast.walk(ast.parse(stage.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "group"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert {*asked} == {*GROUPS}
