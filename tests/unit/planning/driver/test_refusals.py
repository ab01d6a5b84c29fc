"""The driver plan: what stops it, each with a way out, and what it only warns of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.inputs.machine import Driver, Gpu, Holder, Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import GLOBAL, Site
from tests.unit.planning.driver.driver_examples import (
    DEBIAN_12,
    DEBIAN_13,
    HOLDER,
    LAB,
    OLD,
    ROCKY_9,
    TRAINING,
    WANTED,
    driven,
    machine,
    plan,
    system,
)

GRID = {"nvidia-linux-grid-550": "550.144.03"}


def with_cards(host_class: str, **fields: Any) -> Machine:
    """A bare machine whose cards are as `fields` say."""
    there = machine(host_class)
    return replace(there, gpus=tuple(replace(each, **fields) for each in there.gpus))


def lent(**fields: Any) -> Machine:
    """A container on a host whose driver is right."""
    there = driven("rtx4090", packages={}, container="docker")
    return replace(there, driver=replace(there.driver, **fields))


REFUSED: dict[str, tuple[Callable[[], object], str, str]] = {
    "a card is missing": (
        lambda: plan(replace(machine(), gpus=machine().gpus[:7])),
        "1 of 8 H800 are missing: the PCI bus shows 7",
        "reseat or replace",
    ),
    "a card that the table does not know": (
        lambda: plan(with_cards("rtx5090", pci_id="10de:9999")),
        r"8 x RTX 5090, and there is 8 x 10de:9999 \(unknown\) on the PCI bus",
        "describe there what is unknown",
    ),
    "one is missing, and a display card is there": (
        lambda: plan(
            replace(
                machine("rtx4090"),
                gpus=(
                    *machine("rtx4090").gpus[:7],
                    Gpu(address="0000:f1:00.0", pci_id="10de:1d01"),
                ),
            )
        ),
        r"there is 7 x RTX 4090 and 1 x 10de:1d01 \(unknown\)",
        "describe there what is unknown",
    ),
    "all are given to virtual machines, before a driver numbers them": (
        lambda: plan(with_cards("rtx4090", driver="vfio-pci", index=None)),
        r"GPUs 0000:1a:00.0, .* are given to virtual machines \(vfio-pci\)",
        "give them back",
    ),
    "the host has divided them": (
        lambda: plan(with_cards("l40s", functions=4)),
        "divided into virtual functions",
        "how many are free",
    ),
    "a guest with a slice of a card": (
        lambda: plan(with_cards("l40s", name="NVIDIA L40S-24C", driver="nvidia", index=0)),
        r"a slice of a card \(NVIDIA L40S-24C\), and we plan whole cards; its driver is left alone",
        "passthrough",
    ),
    "such a guest without a driver": (
        lambda: plan(with_cards("l40s", subsystem="10de:18a0")),
        r"a slice of a card \(vGPU\)",
        "passthrough",
    ),
    "a guest's own driver that is too old": (
        lambda: plan(driven("l40s", "550.144.03", packages=GRID)),
        r"driver for guests \(GRID\), whose driver goes with its host's: 550.144.03 is loaded",
        "updated on the host",
    ),
    "a container on a host with an older driver": (
        lambda: plan(driven("rtx4090", "550.144.03", packages={}, container="docker")),
        r"This is a container \(docker\), whose driver goes with its host's: 550.144.03 is loaded",
        "updated on the host",
    ),
    "a machine of its own without systemd": (
        lambda: plan(machine("rtx5090", systemd=False)),
        "There is no systemd here, which loads a driver .* and no driver is loaded",
        "by hand",
    ),
    "a container that was given no card": (
        lambda: plan(machine("rtx4090", container="docker", driver=Driver())),
        "none is loaded, and CUDA 13.0 needs 580.65.06",
        "another machine",
    ),
    "a container without the driver's library": (
        lambda: plan(lent(userspace=None)),
        "programs find no library of it",
        "--gpus all",
    ),
    "cards of another kind": (
        lambda: plan(machine("h800"), gpu="H20"),
        "8 x H20, and there is 8 x H800 on the PCI bus",
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
        "allow_busy_gpus=True",
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
    "driver older than the software stack": (
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
    "no toolkit for KTransformers on Debian 13": (
        lambda: plan(machine("rtx4090", **DEBIAN_13), compiles_later=True),
        "no toolkit of CUDA 12.9 for debian 13, and KTransformers",
        "another engine",
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
    decide, reason, hint = REFUSED[case]
    with pytest.raises(Refusal, match=reason) as refusal:
        decide()
    assert hint in refusal.value.hint
    assert not refusal.value.reason.endswith(".") and not refusal.value.hint.endswith(".")


def test_the_operators_word_goes_over_a_process() -> None:
    made = plan(driven(version=OLD, holders=(HOLDER,)), allow_busy_gpus=True)
    assert made.action == "install"


@pytest.mark.parametrize(
    "holder",
    [
        Holder(pid=1, name="python3", unit="vllm@deepseek-r1.service"),
        Holder(pid=1, name="llama-server", unit="llama-server@tiny.service"),
        Holder(pid=1, name="ollama", unit="ollama.service"),
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
def test_what_is_not_well_is_reported(fields: dict[str, Any], words: str) -> None:
    made = plan(driven(**fields))
    assert made.action == "none" and re.search(words, " ".join(made.warnings))


def test_cards_that_are_not_well_are_reported() -> None:
    there = driven()
    ill = replace(there.gpus[0], uncorrected=3, remap_pending=True, mig=True)
    warnings = " ".join(plan(replace(there, gpus=(ill, *there.gpus[1:]))).warnings)
    assert "3 uncorrected" in warnings and "reset" in warnings and "MIG" in warnings


def test_packages_that_nobody_holds_are_reported() -> None:
    assert "held" in plan(driven(held=False)).warnings[0]
    assert "held" not in " ".join(plan(driven(packages={}, held=False)).warnings)


def test_fewer_declared_than_there_are_is_reported() -> None:
    assert "uses 4 of 8" in plan(driven("rtx4090"), gpus=4).warnings[0]
