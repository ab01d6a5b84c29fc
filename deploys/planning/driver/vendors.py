"""Drivers that only their vendors distribute: checked, but not installed."""

from __future__ import annotations

import re

from deploys.planning.driver import state
from deploys.planning.driver.driver_inputs import DriverInputs
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.hardware import cards
from deploys.planning.inputs.machine import RHEL_LIKE
from deploys.planning.inputs.refusal import Refusal


def vendor_plan(case: DriverInputs) -> DriverPlan:
    """Return a plan with the installed driver of Huawei or Hygon.

    Raise Refusal, saying what to install by hand, if it is missing or has another version.
    """
    machine, profile, stack = case.machine, case.profile, case.stack
    loaded = machine.driver.loaded
    own = cards.ours(machine, case.gpu, profile.gpus)
    if loaded is None and not all(each.driver for each in own):
        raise Refusal(
            f"No driver is loaded for {profile.gpus} x {case.gpu.name}, and its installer is"
            " available from its vendor alone",
            _by_hand(case),
        )
    doubts = [f"{stack.platform} is planned from documents of {stack.date}, and was not run by us"]
    if stack.driver and loaded is None:
        doubts.append(
            f"{stack.platform} wants driver {stack.driver} and no other, and npu-smi does not say"
            " which one is loaded"
        )
    elif stack.driver and loaded != stack.driver:
        raise Refusal(
            f"{stack.platform} works with driver {stack.driver} and no other, and {loaded} is"
            " loaded",
            _by_hand(case),
        )
    if stack.vendor == "huawei" and machine.driver.toolkit != _cann(case)[0]:
        raise Refusal(
            f"{stack.platform} is wanted, exactly, and the toolkit of CANN that is installed is"
            f" {machine.driver.toolkit or 'none'}",
            _by_hand(case),
        )
    return DriverPlan(
        vendor=stack.vendor or "huawei",
        action="none",
        version=loaded or stack.driver or "",
        system="",
        package_manager="dnf" if machine.os in RHEL_LIKE else "apt",
        confirmed=False,
        warnings=(*doubts, *state.gpu_warnings(machine, profile, own)),
    )


def _by_hand(case: DriverInputs) -> str:
    stack = case.stack
    if stack.vendor != "huawei":
        return f"Install {stack.platform} and its driver by the vendor's guide, then run this again"
    # In the order of the installation pages of SGLang (HDK) and vllm-ascend, read 2026-11-25.
    cann, nnal = _cann(case)
    chip = case.gpu.name.removeprefix("Ascend ").lower()
    machine = case.machine.architecture
    return (
        f"Install from Huawei's download pages, in this order: Ascend HDK {stack.driver} for"
        f" {chip} on {machine} (driver, then the firmware of the same HDK), reboot, CANN toolkit"
        f" {cann}, CANN {chip} ops {cann}, NNAL {nnal}; then run this again"
    )


def _cann(case: DriverInputs) -> list[str]:
    """Return the versions of CANN and of NNAL that go together."""
    return re.findall(r"[\d.]+", case.stack.platform)
