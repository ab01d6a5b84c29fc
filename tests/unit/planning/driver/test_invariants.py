"""Each thing that must hold of a driver has one sentence for when it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.driver import invariants
from deploys.planning.driver.plan import DriverPlan, PackageGroup
from deploys.planning.inputs.machine import Driver, Gpu, GpuLink, Kernel, Machine
from tests.unit.planning.plan_examples import MACHINE

V, OLD = "580.178.04", "580.159.04"
PLAN = DriverPlan(
    vendor="nvidia",
    action="install",
    version=V,
    flavour="open",
    system="ubuntu2204",
    package_manager="apt",
    groups=(PackageGroup(name="driver", packages=(f"nvidia-utils-580={V}-*",)),),
    holds=("nvidia-utils-580",),
    kernels=("6.8.0-60-generic", "6.8.0-62-generic"),
    fabric_manager=True,
)
GPUS = tuple(
    Gpu(address=f"0000:{index}8:00.0", pci_id="10de:2324", index=index, persistence=True)
    for index in range(8)
)
ADDRESSES = tuple(gpu.address for gpu in GPUS)
RIGHT = replace(
    MACHINE,
    gpus=GPUS,
    links=(GpuLink(first=0, second=1, kind="NV8"),),
    kernels=tuple(
        Kernel(release=release, headers=True, module=V, signed=False) for release in PLAN.kernels
    ),
    driver=Driver(
        loaded=V,
        flavour="open",
        userspace=V,
        fabric_manager=V,
        fabric_manager_active=True,
        held=("nvidia-utils-580",),
    ),
)


def _driver(**fields: Any) -> Callable[[Machine], Machine]:
    return lambda machine: replace(machine, driver=replace(machine.driver, **fields))


def _gpu(**fields: Any) -> Callable[[Machine], Machine]:
    return lambda machine: replace(
        machine, gpus=(replace(machine.gpus[0], **fields), *machine.gpus[1:])
    )


def _machine(**fields: Any) -> Callable[[Machine], Machine]:
    return lambda machine: replace(machine, **fields)


# What is wrong, and words of each sentence that then is said.
WRONG: dict[str, tuple[Callable[[Machine], Machine], tuple[str, ...]]] = {
    "nothing is loaded": (
        _driver(loaded=None, error="Failed to initialize NVML"),
        ("none is loaded: Failed to initialize NVML", "The fabric manager is 580.178.04"),
    ),
    "the other module": (_driver(flavour="proprietary"), ("The proprietary module is loaded",)),
    "older libraries": (_driver(userspace=OLD), (f"the libraries are of {OLD}",)),
    "no libraries": (_driver(userspace=None), ("Programs load libnvidia-ml none",)),
    "another fabric manager": (_driver(fabric_manager=OLD), (f"The fabric manager is {OLD}",)),
    "a stopped fabric manager": (
        _driver(fabric_manager_active=False),
        ("The fabric manager does not run",),
    ),
    "no module for the next kernel": (
        _machine(kernels=(RIGHT.kernels[0], replace(RIGHT.kernels[1], module=None))),
        ("Kernel 6.8.0-62-generic has module none",),
    ),
    "unsigned under Secure Boot": (
        _machine(secure_boot=True),
        ("kernel 6.8.0-60-generic load its module", "kernel 6.8.0-62-generic load its module"),
    ),
    "nouveau": (_machine(nouveau=True), ("nouveau holds the GPUs",)),
    "nouveau next time": (_machine(nouveau_in_initramfs=True), ("nouveau would take the GPUs",)),
    "a GPU is silent": (_gpu(index=None), ("7 of 8 GPUs answer",)),
    "no persistence": (_gpu(persistence=False), ("GPU 0 at 0000:08:00.0 is not kept",)),
    "memory errors": (_gpu(uncorrected=2), ("GPU 0 at 0000:08:00.0 has memory errors",)),
    "a pending remap": (_gpu(remap_pending=True), ("a reset has to clear",)),
    "not over NVSwitch": (
        _machine(links=(GpuLink(first=0, second=1, kind="SYS"),)),
        ("do not reach each other over NVSwitch",),
    ),
    "an Xid": (_machine(xids=("NVRM: Xid (PCI:0000:18:00): 79",)), ("Xid (PCI:0000:18:00): 79",)),
    "nothing is held": (_driver(held=()), ("may replace nvidia-utils-580",)),
}


def test_a_machine_in_order_has_nothing_to_say() -> None:
    assert invariants.violations(PLAN, ADDRESSES, RIGHT) == ()


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_hold_is_reported_with_a_hint(case: str) -> None:
    change, words = WRONG[case]
    found = invariants.violations(PLAN, ADDRESSES, change(RIGHT))
    assert len(found) == len(words), found
    for refusal, part in zip(found, words, strict=True):
        assert part in refusal.reason
        assert refusal.hint and not refusal.hint.endswith(".")


def test_a_kernel_that_was_removed_since_is_not_missed() -> None:
    assert invariants.violations(PLAN, ADDRESSES, replace(RIGHT, kernels=RIGHT.kernels[:1])) == ()


def test_cards_that_are_somebody_elses_are_not_looked_at() -> None:
    sick = {"index": None, "uncorrected": 2, "persistence": False}
    theirs = tuple(replace(gpu, **sick) for gpu in GPUS[4:])
    links = (*RIGHT.links, GpuLink(first=3, second=4, kind="SYS"))
    shared = replace(RIGHT, gpus=(*GPUS[:4], *theirs), links=links)
    assert invariants.violations(PLAN, ADDRESSES[:4], shared) == ()
    assert len(invariants.violations(PLAN, ADDRESSES[:5], shared)) == 1
