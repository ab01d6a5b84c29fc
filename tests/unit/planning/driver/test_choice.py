"""The driver plan: drivers that are there, and what is done about them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import STACKS, stack_of
from deploys.planning.inputs.machine import Driver, Kernel
from deploys.planning.inputs.refusal import Refusal
from tests.unit.planning.driver.driver_examples import (
    DEBIAN_12,
    DEBIAN_13,
    HOLDER,
    OLD,
    PROFILES,
    ROCKY_9,
    WANTED,
    driven,
    groups,
    machine,
    plan,
)


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


def test_only_the_libraries_are_added_to_a_driver_that_is_right() -> None:
    made = plan(driven(), compiles=True)
    assert made.action == "none" and list(groups(made)) == ["CUDA libraries"]
    # Nothing of what is there may come from it.
    assert made.repository and made.repository.priority == 100


def test_a_driver_that_came_without_packages_is_believed() -> None:
    """In a container the module is that of the computer around it."""
    lent = driven("rtx4090", packages={})
    there = replace(lent, kernels=(Kernel(release=lent.kernel, headers=False),))
    assert plan(there).action == "none"
    assert plan(replace(there, kernels=())).action == "none"


def test_a_container_keeps_its_hosts_driver_and_gets_no_module() -> None:
    there = driven("h800", packages={}, container="docker", fabric=None, active=False)
    made = plan(replace(there, kernels=(Kernel(release="6.18.0-new", headers=False),)))
    assert (made.action, made.version, made.kernels) == ("none", WANTED, ())
    assert made.groups == () and not made.reboot and not made.fabric_manager


def test_the_tree_of_an_image_gets_its_driver_without_systemd() -> None:
    assert plan(machine("rtx5090", systemd=False, booted=False)).action == "install"


def test_a_guest_keeps_nvidias_driver_for_guests() -> None:
    there = driven("l40s", "580.95.05", packages={"nvidia-linux-grid-580": "580.95.05"}, held=False)
    made = plan(there)
    assert (made.action, made.version, made.groups) == ("none", "580.95.05", ())
    assert any("GRID" in warning for warning in made.warnings)


def test_half_given_to_virtual_machines_leaves_the_other_half() -> None:
    there = driven("rtx4090")
    gpus = [
        replace(each, driver="vfio-pci", index=None)
        if number < 4
        else replace(each, index=number - 4)
        for number, each in enumerate(there.gpus)
    ]
    made = plan(replace(there, gpus=tuple(gpus)), gpus=4)
    assert made.action == "none"
    given, used = made.warnings
    assert given.startswith("GPUs 0000:1a:00.0, 0000:1b:00.0, 0000:1c:00.0, 0000:1d:00.0 are given")
    assert used == "The profile uses 4 of 8 GPUs: 0, 1, 2, 3; the others are left alone"


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


@pytest.mark.parametrize(
    ("version", "release", "compiles"),
    [
        ("580.95.05", "6.1.0-57-amd64", False),
        ("580.95.05", "6.1.0-57-cloud-amd64", False),
        ("580.95.05", "6.12.118+deb13-amd64", False),
        ("580.95.05", "6.1.0-47-amd64", True),
        ("580.95.05", "6.12.48+deb13-amd64", True),
        ("580.95.05", "6.8.0-120-generic", True),
        ("580.126.09", "6.1.0-57-amd64", True),
    ],
)
def test_a_driver_that_does_not_compile_for_a_new_kernel_is_replaced(
    version: str, release: str, compiles: bool
) -> None:
    there = driven("rtx4090", version)
    newer = Kernel(release=release, headers=True)
    half = replace(
        there,
        os="debian",
        os_version="12",
        kernel="6.1.0-41-amd64",
        kernels=(replace(there.kernels[0], release="6.1.0-41-amd64"), newer),
        broken_packages=("linux-image-amd64",),
    )
    made = plan(half)
    assert made.version == (version if compiles else WANTED)
    assert made.reboot is not compiles
    assert made.unfinished == (() if compiles else ("linux-image-amd64",))
    if not compiles:
        assert made.reason == f"driver {version} does not compile for kernel {release}"
        with pytest.raises(Refusal, match=rf"{version} does not compile.*Ask for 580\.126\.09"):
            plan(half, driver=version)


def test_a_driver_that_does_not_compile_is_not_installed_anew() -> None:
    bare = machine("rtx4090", **{**DEBIAN_12, "kernel": "6.1.0-57-amd64"})
    assert plan(bare).version == WANTED
    with pytest.raises(Refusal, match=r"580\.95\.05 does not compile for kernel 6\.1\.0-57"):
        plan(bare, driver="580.95.05")


def test_blackwell_does_not_keep_proprietary_modules_nor_volta_open_ones() -> None:
    made = plan(driven("rtx5090", flavour="proprietary"))
    assert (made.action, made.flavour, made.reboot) == ("install", "open", True)
    assert "module does not drive these cards" in made.reason
    assert plan(driven("v100", flavour="open")).flavour == "proprietary"


def test_nouveau_is_unloaded_with_a_reboot() -> None:
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


def test_the_lanes_driver_does_for_its_own_lane() -> None:
    for stack in STACKS:
        if stack.vendor == "nvidia":
            for name, (gpu, _) in PROFILES.items():
                if stack_of(named(gpu)) is stack:
                    assert stack.driver
                    there = driven(name, stack.driver, flavour=stack.flavour)
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
        assert refusal.reason and refusal.hint
        return
    # A driver changes only where nobody else works, and with leave to reboot.
    if made.reboot:
        assert reboot and not busy and made.action != "none"
    if made.action == "none":
        assert loaded == userspace and made.accepts(loaded) and loaded != OLD
        assert not made.fabric_manager or (fabric == loaded and active)
        assert {group.name for group in made.groups} <= {"CUDA libraries"}
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
        assert made.repository is None or "CUDA libraries" in groups(made)
        assert not any(
            "dkms" in package for package in groups(made)["driver"] if "no-dkms" not in package
        )
