"""What is done about the GPU driver of one machine: nothing, a reboot, or an installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from deploys.planning.compatibility import RHEL_LIKE
from deploys.planning.driver import state
from deploys.planning.driver.case import Case
from deploys.planning.driver.install import (
    install,
    repair_kernels,
    repository,
    system_of,
    with_fabric,
    with_toolkit,
)
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.gpus import Accelerator
from deploys.planning.lanes import Lane, check_driver
from deploys.planning.locks import ArtifactLock
from deploys.planning.machine import Machine
from deploys.planning.profile import HostProfile
from deploys.planning.refusal import Refusal
from deploys.planning.site import Site


def driver_plan(
    machine: Machine,
    profile: HostProfile,
    gpu: Accelerator,
    lane: Lane,
    site: Site,
    artifacts: Mapping[str, ArtifactLock],
    *,
    compiles: bool,
) -> DriverPlan:
    """What is done about the driver of one machine; raises Refusal when it cannot be.

    + compiles: something is compiled for the GPUs, so that the toolkit is installed
    """
    if profile.driver is not None:
        check_driver(profile.driver, lane)
    state.check_gpus(machine, profile, gpu)
    if lane.vendor != "nvidia":
        return _left_to_the_vendor(machine, profile, lane)
    case = Case(machine, profile, gpu, lane, site, artifacts)
    plan = _kept(case) if case.loaded_is_right() else _exchanged(case)
    if compiles:
        plan = with_toolkit(case, plan)
    return replace(plan, warnings=(*plan.warnings, *_doubts(case, plan)))


def _kept(case: Case) -> DriverPlan:
    """The loaded driver stays; what may be missing around it is added."""
    version = case.machine.driver.loaded or ""
    plan = case.plan(action="none", version=version)
    if not case.built_here:
        plan = replace(plan, kernels=())  # Its module is not ours to look for.
    reasons = []
    if case.built_here and case.without_module:
        plan = repair_kernels(case, plan)
        reasons.append(f"kernel {case.without_module[-1]} has no module of the driver")
    if case.switched and not state.fabric_right(case.machine, version):
        system = system_of(case)
        plan = with_fabric(case, system, plan)
        plan = replace(
            plan,
            repository=None if case.canonical else repository(case, system, priority=100),
            services=("nvidia-fabricmanager.service",),
        )
        reasons.append("the fabric manager is missing, stopped or of another version")
    if not reasons:
        return plan
    return replace(plan, action="install", reason=" and ".join(reasons))


def _exchanged(case: Case) -> DriverPlan:
    """Another driver takes the place of what is loaded, if anything is."""
    machine, now, disk = case.machine, case.machine.driver, state.on_disk(case.machine)
    installed = disk if disk == now.userspace and disk != now.loaded else None
    if case.usable(installed) and (not case.switched or now.fabric_manager == installed):
        if now.loaded and not machine.nouveau and not case.interrupted:
            plan = case.plan(
                action="reboot",
                reason=f"driver {now.loaded} is loaded and {installed} is installed",
                version=installed,
                reboot=True,
            )
        else:
            plan = install(case, installed, _reason(case, installed or ""))
    else:
        wanted = case.profile.driver
        plan = install(case, wanted, _reason(case, wanted or case.lane.driver or ""))
    state.check_idle(machine, case.profile)
    if plan.reboot and not case.profile.reboot:
        raise Refusal(
            f"A reboot is needed, as {plan.reason}, and the profile forbids it",
            "Set reboot=True in the profile for one run, at a time when the machine may go down",
        )
    return plan


def _reason(case: Case, target: str) -> str:
    now = case.machine.driver
    if case.machine.nouveau:
        return "the kernel's own nouveau holds the GPUs"
    if now.loaded is None:
        return "no driver is loaded"
    if case.usable(now.loaded) and not case.usable(now.loaded, now.flavour):
        return f"the {now.flavour} module does not drive these cards"
    if now.loaded != target:
        return f"driver {now.loaded} is loaded and {target} is wanted"
    return f"parts of driver {now.loaded} are missing or of another version"


def _doubts(case: Case, plan: DriverPlan) -> tuple[str, ...]:
    machine = case.machine
    found = list(state.health(machine, case.profile))
    if machine.broken_packages:
        names = ", ".join(machine.broken_packages)
        found.append(f"Packages were left half installed, and are repaired first: {names}")
    if plan.repository and plan.repository.keyring and plan.repository.keyring.sha256 is None:
        found.append(f"{plan.repository.keyring.path} is not pinned yet: it is on its first use")
    if plan.action != "none" and machine.os == "rhel":
        found.append("DKMS comes from EPEL, which has to be enabled on RHEL by hand")
    if plan.action == "none" and machine.driver.packages and not machine.driver.held:
        found.append("No package of the driver is held: an upgrade may exchange it under a service")
    if plan.action == "none" and machine.nouveau_in_initramfs:
        found.append("nouveau is in the initramfs, and may take the GPUs at the next boot")
    return tuple(found)


def _left_to_the_vendor(machine: Machine, profile: HostProfile, lane: Lane) -> DriverPlan:
    """AMD, Huawei, Hygon: what is there is used; nothing is installed that was never tried."""
    loaded = machine.driver.loaded
    if loaded is None and not all(each.driver for each in machine.gpus):
        raise Refusal(
            f"No driver is loaded for {profile.gpus} x {profile.gpu}, and this version installs"
            " NVIDIA's alone",
            f"Install {lane.platform}"
            + (f" and driver {lane.driver}" if lane.driver else "")
            + " as the vendor's guide says, then run this again",
        )
    doubts = [f"{lane.platform} is planned from documents of {lane.date}, and was not run by us"]
    if lane.vendor == "huawei" and loaded != lane.driver:
        doubts.append(
            f"{lane.platform} wants driver {lane.driver} and no other, and {loaded} is loaded"
        )
    return DriverPlan(
        vendor=lane.vendor or "amd",
        action="none",
        version=loaded or lane.driver or "",
        system="",
        package_manager="dnf" if machine.os in RHEL_LIKE else "apt",
        confirmed=False,
        warnings=(*doubts, *state.health(machine, profile)),
    )
