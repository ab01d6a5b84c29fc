"""The decision about the GPU driver of one machine: nothing, a reboot, or an installation."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.driver import state
from deploys.planning.driver.amd import amd_plan
from deploys.planning.driver.driver_inputs import DriverInputs
from deploys.planning.driver.install import (
    install,
    repository,
    system_of,
    with_compiler,
    with_fabric,
    with_libraries,
    with_missing_modules,
)
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.driver.vendors import vendor_plan
from deploys.planning.driver.vulkan import vulkan_plan
from deploys.planning.driver.wanted import check_driver
from deploys.planning.hardware import cards
from deploys.planning.inputs.inputs import Inputs
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.quantity import human

# Of the memory that a board of the kind has, what another kind has less than.
_LESS = 0.9


def driver_plan(
    inputs: Inputs, *, compiles: bool, compiles_later: bool = False
) -> DriverPlan | None:
    """Return the driver plan of one machine, None without GPUs; raise Refusal if there is none.

    + compiles: something is compiled for the GPUs, so the CUDA libraries are installed
    + compiles_later: an engine compiles at run time, and its packages bring no compiler
    """
    if inputs.gpu is None:
        return None
    case = DriverInputs(**{**vars(inputs), "gpu": inputs.gpu})
    stack = case.stack
    if case.profile.driver is not None:
        check_driver(case.profile.driver, stack)
    state.check_gpus(case.machine, case.profile, case.gpu)
    if stack.backend == "Vulkan":
        return vulkan_plan(case)
    if stack.driver is None or stack.vendor not in ("nvidia", "amd"):
        return vendor_plan(case)
    if case.machine.container or case.machine.driver.is_grid:
        plan = _of_the_host(case)
    elif stack.vendor == "amd":
        plan = amd_plan(case)
    else:
        plan = _keep(case) if case.loaded_is_right() else _replace(case)
    if plan.action != "none" and case.machine.booted and not case.machine.systemd:
        raise Refusal(
            f"There is no systemd here, which loads a driver and runs its services, and"
            f" {plan.reason}",
            f"Install driver {stack.driver} by hand, or use a machine with systemd",
        )
    if stack.vendor == "nvidia":
        if compiles:
            plan = with_libraries(case, plan)
        if compiles_later:
            plan = with_compiler(case, plan)
    return replace(plan, warnings=(*plan.warnings, *_doubts(case, plan)))


def _of_the_host(case: DriverInputs) -> DriverPlan:
    """Return the plan that keeps a driver which goes with that of the machine's host.

    In a container it is the host's own, and no module may be loaded; NVIDIA's for guests (GRID)
    has to fit the host's, and no repository has it.
    """
    now, wanted = case.machine.driver, f"{case.stack.platform} needs {case.stack.minimum} or newer"
    what, kind = "This is a container", f" ({case.machine.container})"
    if now.is_grid:
        what, kind = "This machine has NVIDIA's driver for guests", " (GRID)"
    if not case.usable(now.loaded, now.flavour):
        raise Refusal(
            f"{what}{kind}, whose driver goes with its host's: {now.loaded or 'none'} is loaded,"
            f" and {wanted}",
            "Have it updated on the host, and in the guest where it has its own; or use another"
            " machine",
        )
    if case.stack.vendor == "nvidia" and now.userspace != now.loaded:
        raise Refusal(
            f"{what}{kind}, where module {now.loaded} is loaded and programs find"
            f" {now.userspace or 'no'} library of it",
            "Start the container with its GPUs (docker run --gpus all,"
            " NVIDIA_DRIVER_CAPABILITIES=compute,utility), or bring both to one version",
        )
    made = case.plan(action="none", version=now.loaded, kernels=(), fabric_manager=False)
    return replace(made, vendor=case.stack.vendor or "nvidia")


def _keep(case: DriverInputs) -> DriverPlan:
    """Return the plan that keeps the loaded driver and adds what is missing around it."""
    version = case.machine.driver.loaded or ""
    plan = case.plan(action="none", version=version)
    if not case.built_here:
        plan = replace(plan, kernels=())  # Its module is not ours to look for.
    reasons = []
    if case.built_here and case.without_module:
        if case.broken_by(version):
            return _replace_uncompilable(case, version)
        plan = with_missing_modules(case, plan)
        reasons.append(f"kernel {case.without_module[-1]} has no module of the driver")
    if case.switched and not state.fabric_manager_matches(case.machine, version):
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


def _replace(case: DriverInputs) -> DriverPlan:
    """Return the plan that replaces the loaded driver, if any, with another one."""
    machine, now, disk = case.machine, case.machine.driver, state.on_disk(case.machine)
    installed = disk if disk == now.userspace and disk != now.loaded else None
    complete = not case.switched or now.fabric_manager == installed
    if case.usable(installed) and complete and not case.broken_by(installed or ""):
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
        plan = install(case, wanted, _reason(case, wanted or case.stack.driver or ""))
    state.check_idle(machine, case.profile)
    state.check_reboot(plan, case.profile)
    return plan


def _replace_uncompilable(case: DriverInputs, version: str) -> DriverPlan:
    """Return the plan that replaces a driver which does not compile for a kernel that is there."""
    reason = f"driver {version} does not compile for kernel {case.without_module[-1]}"
    plan = install(case, case.profile.driver, reason)
    state.check_idle(case.machine, case.profile)
    state.check_reboot(plan, case.profile)
    return replace(plan, unfinished=case.machine.broken_packages)


def _reason(case: DriverInputs, target: str) -> str:
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


def _doubts(case: DriverInputs, plan: DriverPlan) -> tuple[str, ...]:
    machine = case.machine
    own = cards.ours(machine, case.gpu, case.profile.gpus)
    found = list(state.gpu_warnings(machine, case.profile, own))
    smaller = [each for each in own if each.memory and each.memory < _LESS * case.gpu.memory]
    if smaller and not case.gpu.shares_host:
        found.append(
            f"GPU {smaller[0].address} has {human(smaller[0].memory or 0)} of memory, less than a"
            f" {case.gpu.name} has: what it has is planned with"
        )
    if plan.action != "none" and machine.os == "rhel":
        found.append("DKMS comes from EPEL, which has to be enabled on RHEL by hand")
    if machine.driver.is_grid:
        found.append("NVIDIA's driver for guests (GRID) stays as it is, and so does its licence")
    elif plan.action == "none" and machine.driver.packages and not machine.driver.held:
        found.append(
            "No package of the driver is held: an upgrade may replace it under a running service"
        )
    if plan.action == "none" and machine.nouveau_in_initramfs:
        found.append("nouveau is in the initramfs, and may take the GPUs at the next boot")
    return tuple(found)
