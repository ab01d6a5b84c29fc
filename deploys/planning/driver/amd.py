"""The plan for AMD's driver: its DKMS module, and the tools that list the cards.

Sources, read 2026-11-25: installation pages and conf.py of ROCm/amdgpu-docs at 30.30.3, ROCm's
installation guide for Linux, and package versions of 30.20.0 to 30.30.4 that others have published.
None of it has been run on such hardware.
"""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.driver import packages as names
from deploys.planning.driver import state
from deploys.planning.driver.driver_inputs import DriverInputs
from deploys.planning.driver.plan import DriverPlan, PackageGroup, Repository
from deploys.planning.hardware.software_stacks import parsed
from deploys.planning.inputs.machine import RHEL_LIKE
from deploys.planning.inputs.refusal import Refusal

# Suite of AMD's repositories for each system. Debian takes the packages of the Ubuntu release that
# is nearest to it.
_SUITES = {
    ("ubuntu", "22.04"): "jammy",
    ("ubuntu", "24.04"): "noble",
    ("debian", "12"): "jammy",
    ("debian", "13"): "noble",
}
_DRIVER = ("amdgpu-dkms", "amdgpu-dkms-firmware")
# Engines bring the rest of ROCm in their wheels: AMD's page on vLLM asks the host for the driver.
_TOOLS = ("amd-smi-lib", "rocminfo")


def amd_plan(case: DriverInputs) -> DriverPlan:
    """Return the driver plan of a machine with AMD cards; raise Refusal if there is none."""
    machine, stack, disk = case.machine, case.stack, state.on_disk(case.machine)
    now = machine.driver.loaded
    built_here = "amdgpu-dkms" in machine.driver.packages
    whole = now == disk or (disk is None and not built_here)
    seen = any(gpu.index is not None for gpu in machine.gpus)
    if _usable(case, now) and whole and seen and not (built_here and case.without_module):
        kernels = _kernels(case) if built_here else ()
        return _plan(case, action="none", version=now, kernels=kernels)
    in_use = any(gpu.driver == "amdgpu" for gpu in machine.gpus)
    if now is None:
        why = "the kernel's own amdgpu is loaded" if in_use else "no driver is loaded"
    elif not _usable(case, now):
        why = f"module {now} is loaded and {stack.module} is wanted"
    elif whole and not seen:
        why = "no tool is installed that shows the cards"
    else:
        why = f"parts of driver {now} are missing or of another version"
    made = _install(case, f"{why} (AMD's driver {stack.driver} calls itself {stack.module})")
    # A module that is in use gives way at the next boot.
    made = replace(made, reboot=in_use and now != stack.module)
    state.check_idle(machine, case.profile)
    state.check_reboot(made, case.profile)
    return made


def _usable(case: DriverInputs, module: str | None) -> bool:
    return module is not None and parsed(module) >= parsed(case.stack.minimum or "")


def _kernels(case: DriverInputs) -> tuple[str, ...]:
    return tuple(kernel.release for kernel in state.bootable_kernels(case.machine))


def _plan(case: DriverInputs, **fields: object) -> DriverPlan:
    stack, system = case.stack, (case.machine.os, case.machine.os_version)
    return DriverPlan(
        **{
            "vendor": "amd",
            "system": _SUITES.get(system, ""),
            "package_manager": "dnf" if case.machine.os in RHEL_LIKE else "apt",
            # AMD's guide: who may open /dev/kfd and /dev/dri is in these.
            "device_groups": ("render", "video"),
            "confirmed": False,
            "warnings": (
                f"AMD's driver and {stack.platform} are planned from documents of {stack.date}, and"
                " were not run by us on such hardware",
            ),
            **fields,
        }  # type: ignore[arg-type]
    )


def _install(case: DriverInputs, reason: str) -> DriverPlan:
    suite = _suite(case)
    if case.machine.secure_boot:
        raise Refusal(
            "Secure Boot is on, and AMD's module, compiled on the machine, has no signature that it"
            " accepts",
            "Enrol a key of the machine's owner: install dkms, run mokutil --import"
            " /var/lib/dkms/mok.pub, reboot, confirm on the console (Enroll MOK), install"
            f" amdgpu-dkms {case.stack.driver} by hand and run this again; or turn Secure Boot off",
        )
    stack = case.stack
    release = stack.driver or ""
    doubts = []
    if names.flavour_of(case.machine) is None:
        doubts.append(
            f"Kernel {case.machine.kernel} is not one of the distribution's, and AMD's module"
            " does not compile for every kernel"
        )
    made = _plan(
        case,
        action="install",
        reason=reason,
        version=stack.module,
        repository=_repository(case, "amdgpu", f"amdgpu/{release}/ubuntu", suite),
        tools=_repository(case, "rocm", f"rocm/apt/{stack.platform.removeprefix('ROCm ')}", suite),
        groups=(
            PackageGroup(name="headers", packages=_headers(case)),
            PackageGroup(name="driver", packages=_versioned(stack.module or "", release)),
            PackageGroup(name="monitoring", packages=_TOOLS),
        ),
        holds=_DRIVER,
        blocklist=("amdgpu-", "amd-smi-lib", "rocm"),
        modules=("amdgpu",),
        kernels=_kernels(case),
    )
    return replace(made, warnings=(*made.warnings, *doubts))


def _suite(case: DriverInputs) -> str:
    machine = case.machine
    suite = _SUITES.get((machine.os, machine.os_version))
    if suite is None or machine.architecture != "x86_64":
        raise Refusal(
            f"AMD's driver is installed on x86_64 with Ubuntu or Debian, and this is {machine.os}"
            f" {machine.os_version} on {machine.architecture}",
            f"Install {case.stack.platform} and driver {case.stack.driver} as AMD's guide for this"
            " system says, then run this again, or install Ubuntu 22.04 or 24.04, Debian 12 or 13",
        )
    return suite


def _repository(case: DriverInputs, name: str, folder: str, suite: str) -> Repository:
    """Return an AMD repository, named as in AMD's guide so that it replaces older releases."""
    return Repository(
        name=name,
        url=case.site.url("rocm", folder),
        suite=f"{suite} main",
        keyring=case.key("rocm-key"),
        key="",
        release="o=repo.radeon.com",
    )


def _headers(case: DriverInputs) -> tuple[str, ...]:
    """Return the packages that the module is compiled against or depends on."""
    machine = case.machine
    kernels = state.bootable_kernels(machine)
    flavour = names.flavour_of(machine)
    found = [f"linux-headers-{kernel.release}" for kernel in kernels if not kernel.headers]
    found += names.following_headers(machine)
    if flavour and machine.os == "ubuntu":
        found += [f"linux-modules-extra-{kernel.release}" for kernel in kernels]
        if machine.os_version == "22.04" and "hwe" in flavour:
            # Its newer kernels are built with this one, and a module has to be, too.
            found.append("gcc-12")
    return tuple(found)


def _versioned(module: str, release: str) -> tuple[str, ...]:
    """Return the packages as given to apt: `1:6.16.13.30300300-*`, and `30.30.3.0.30300300-*`."""
    build = "".join(f"{number:02}" for number in parsed(release)) + "00"
    return f"amdgpu-dkms=1:{module}.{build}-*", f"amdgpu-dkms-firmware={release}.0.{build}-*"
