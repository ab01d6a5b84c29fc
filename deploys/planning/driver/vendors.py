"""Drivers that only their vendors hand out: what is there is checked, and nothing is installed."""

from __future__ import annotations

import re

from deploys.planning.driver import state
from deploys.planning.driver.case import Case
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.engines.compatibility import RHEL_LIKE
from deploys.planning.hardware import cards
from deploys.planning.inputs.refusal import Refusal


def found_plan(case: Case) -> DriverPlan:
    """Huawei, Hygon: the driver that is there, or a Refusal that says what to install by hand."""
    machine, profile, lane = case.machine, case.profile, case.lane
    loaded = machine.driver.loaded
    own = cards.ours(machine, case.gpu, profile.gpus)
    if loaded is None and not all(each.driver for each in own):
        raise Refusal(
            f"No driver is loaded for {profile.gpus} x {profile.gpu}, and its installer is handed"
            " out by its vendor alone",
            _by_hand(case),
        )
    doubts = [f"{lane.platform} is planned from documents of {lane.date}, and was not run by us"]
    if lane.driver and loaded is None:
        doubts.append(
            f"{lane.platform} wants driver {lane.driver} and no other, and npu-smi does not say"
            " which one is loaded"
        )
    elif lane.driver and loaded != lane.driver:
        raise Refusal(
            f"{lane.platform} works with driver {lane.driver} and no other, and {loaded} is loaded",
            _by_hand(case),
        )
    return DriverPlan(
        vendor=lane.vendor or "huawei",
        action="none",
        version=loaded or lane.driver or "",
        system="",
        package_manager="dnf" if machine.os in RHEL_LIKE else "apt",
        confirmed=False,
        warnings=(*doubts, *state.ailments(machine, profile, own)),
    )


def _by_hand(case: Case) -> str:
    lane = case.lane
    if lane.vendor != "huawei":
        return f"Install {lane.platform} and its driver by the vendor's guide, then run this again"
    # In the order of the installation pages of SGLang (HDK) and vllm-ascend, read 2026-11-25.
    cann, nnal = re.findall(r"[\d.]+", lane.platform)
    chip = case.gpu.name.removeprefix("Ascend ").lower()
    machine = case.machine.architecture
    return (
        f"Install from Huawei's download pages, in this order: Ascend HDK {lane.driver} for"
        f" {chip} on {machine} (driver, then the firmware of the same HDK), reboot, CANN toolkit"
        f" {cann}, CANN {chip} ops {cann}, NNAL {nnal}; then run this again"
    )
