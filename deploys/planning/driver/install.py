"""The installation of a driver: repository, packages in order, holds, services."""

from __future__ import annotations

from dataclasses import replace

from deploys.planning.driver import packages as names
from deploys.planning.driver import state
from deploys.planning.driver.driver_inputs import DriverInputs
from deploys.planning.driver.packages import System
from deploys.planning.driver.plan import DriverPlan, PackageGroup, Repository
from deploys.planning.inputs.refusal import Refusal

# Regular expressions that a package's name begins with.
_BLOCKLIST = ("nvidia-", "libnvidia-", "libcuda", "cuda-", "linux-modules-nvidia-")
# The kernel's own drivers for these cards: the old one, and its successor in Rust.
_BLACKLIST = ("nouveau", "nova_core", "nova_drm")

# HGX B200 and B300.
_NVLINK_5 = ("10.0", "10.3")

Groups = tuple[PackageGroup, ...]
Names = tuple[str, ...]


def install(case: DriverInputs, version: str | None, reason: str) -> DriverPlan:
    """Return the plan that installs a driver version, or the software stack's if None."""
    machine, now, stack = case.machine, case.machine.driver, case.stack
    system = system_of(case)
    if now.userspace and not any("nvidia" in name for name in now.packages):
        raise Refusal(
            f"Driver {now.userspace} was installed by NVIDIA's own installer, which packages cannot"
            " replace",
            "Run nvidia-uninstall on the machine, then this again",
        )
    chosen = version or stack.driver or ""
    if known := case.broken_by(chosen):
        raise Refusal(
            f"Driver {chosen} does not compile for kernel {case.without_module[-1]}",
            f"Ask for {known.before} or newer, or leave driver out of the profile and get"
            f" {stack.driver}",
        )
    from_whom = _from_canonical if case.canonical else _from_nvidia
    plan = from_whom(case, system, chosen)
    services = ["nvidia-persistenced.service"]
    if case.switched:
        plan = with_fabric(case, system, plan)
        services.append("nvidia-fabricmanager.service")
    if system.monitoring and plan.repository is not None:
        cuda = stack.platform.removeprefix("CUDA ").split(".")[0]
        dcgm = PackageGroup(name="monitoring", packages=(f"datacenter-gpu-manager-4-cuda{cuda}",))
        plan = replace(plan, groups=(*plan.groups, dcgm))
        services.append("nvidia-dcgm.service")
    return replace(
        plan,
        action="install",
        reason=reason,
        flavour=stack.flavour,
        blocklist=_BLOCKLIST if system.manager == "apt" else (),
        blacklist=_BLACKLIST,
        modules=("nvidia", "nvidia_uvm"),
        services=tuple(services),
        reboot=now.loaded is not None or machine.nouveau,
    )


def with_missing_modules(case: DriverInputs, plan: DriverPlan) -> DriverPlan:
    """Return the plan extended by packages that build the current module for kernels without it."""
    system = system_of(case)
    if case.canonical:
        flavour, branch, kernel_flavour = _canonical_build(case)
        modules = names.canonical_modules(flavour, branch, kernel_flavour, case.without_module)
        return replace(plan, groups=(PackageGroup(name="driver", packages=modules),))
    return replace(plan, groups=_headers(case, system))


def with_fabric(case: DriverInputs, system: System, plan: DriverPlan) -> DriverPlan:
    """Return the plan extended by the fabric manager and related packages, in its version."""
    if case.canonical:
        packages = holds = names.canonical_fabric(plan.version.split(".")[0])
    else:
        holds, others = names.fabric(plan.version, case.gpu.compute in _NVLINK_5)
        packages = (*names.versioned(system, holds, plan.version), *others)
    group = PackageGroup(name="fabric manager", packages=packages)
    return replace(plan, groups=(*plan.groups, group), holds=(*plan.holds, *holds))


def with_libraries(case: DriverInputs, plan: DriverPlan) -> DriverPlan:
    """Return the plan with the libraries for programs that the stack's CUDA toolkit compiled."""
    system = system_of(case)
    cuda = system.cuda.get(case.stack.platform)
    if cuda is None:
        raise Refusal(
            f"NVIDIA has no toolkit of {case.stack.platform} for {case.machine.os}"
            f" {case.machine.os_version}, and something is to be compiled for these cards",
            "Serve the model with Ollama, which includes it, or install Debian 12 or Ubuntu",
        )
    group = PackageGroup(name="CUDA libraries", packages=names.libraries(cuda))
    return replace(_with_toolkit(case, system, plan, group), cuda=cuda)


def with_compiler(case: DriverInputs, plan: DriverPlan) -> DriverPlan:
    """Return the plan extended by the CUDA toolkit that an engine compiles with at run time."""
    system = system_of(case)
    if names.AT_RUN_TIME not in system.cuda.values():
        raise Refusal(
            f"NVIDIA has no toolkit of CUDA {names.AT_RUN_TIME} for {case.machine.os}"
            f" {case.machine.os_version}, and KTransformers compiles its kernels with it",
            "Install Debian 12 or Ubuntu, or serve the model with another engine",
        )
    group = PackageGroup(name="CUDA compiler", packages=names.at_run_time())
    return _with_toolkit(case, system, plan, group)


def _with_toolkit(
    case: DriverInputs, system: System, plan: DriverPlan, group: PackageGroup
) -> DriverPlan:
    """Return the plan extended by a part of the CUDA toolkit, from NVIDIA's repository.

    Beside a driver from elsewhere, the repository only supplies what no other one has.
    """
    return replace(
        plan,
        repository=plan.repository or repository(case, system, priority=100),
        groups=(*plan.groups, group),
    )


def system_of(case: DriverInputs) -> System:
    """Return the row of the distribution; raise Refusal if no driver packages are known for it."""
    machine = case.machine
    if "microsoft" in machine.kernel.lower():
        raise Refusal(
            "This is Windows' subsystem for Linux, whose GPU driver is that of Windows",
            "Update the driver in Windows",
        )
    system = names.system_of(machine)
    if system is None:
        raise Refusal(
            f"The names of driver packages on {machine.os} {machine.os_version} are not known",
            "Install Ubuntu 22.04 or 24.04, Debian 12 or 13, or RHEL or Rocky 8 or 9, or install a"
            f" driver from {case.stack.minimum} on by hand",
        )
    if names.architecture(machine) not in system.architectures:
        raise Refusal(
            f"NVIDIA has no packages for {machine.os} {machine.os_version} on"
            f" {machine.architecture}",
            "Install Ubuntu 24.04",
        )
    return system


def repository(
    case: DriverInputs, system: System, *, priority: int = 600, module: bool = False
) -> Repository:
    """Return NVIDIA's repository, through this site's mirror.

    + module: for dnf, also enable the driver's module stream
    """
    architecture = names.architecture(case.machine)
    folder = f"{system.directory}/{architecture}"
    url, name = case.site.url("cuda", folder), f"cuda-{system.directory}"
    if system.manager == "dnf":
        stream = f"{case.stack.branch}-{'open' if case.stack.flavour == 'open' else 'dkms'}"
        return Repository(
            name=name,
            url=url,
            key="D42D0685.pub",
            module=f"nvidia-driver:{stream}" if module else None,
            needs=tuple(need.replace("x86_64", case.machine.architecture) for need in system.needs),
        )
    lock = f"cuda-keyring-{system.directory}" + ("-sbsa" if architecture == "sbsa" else "")
    return Repository(
        name=name,
        url=url,
        keyring=case.key(lock),
        key="usr/share/keyrings/cuda-archive-keyring.gpg",
        priority=priority,
        needs=system.needs,
    )


def _from_nvidia(case: DriverInputs, system: System, version: str) -> DriverPlan:
    if case.machine.secure_boot:
        raise Refusal(
            f"Secure Boot is on, and {case.machine.os} has no driver modules that it accepts",
            "Enrol a key of the machine's owner: install dkms, run mokutil --import"
            " /var/lib/dkms/mok.pub, reboot, confirm on the console (Enroll MOK), install driver"
            f" {version} by hand and run this again; or turn Secure Boot off",
        )
    pins = names.pinning(system, version)
    driver = names.driver(system, version, case.stack.flavour)
    groups = (
        PackageGroup(name="prerequisites", packages=_prerequisites(case, system)),
        *_headers(case, system),
        PackageGroup(name="pinning", packages=pins),
        PackageGroup(name="driver", packages=names.versioned(system, driver, version)),
    )
    doubts = []
    if system.manager == "apt" and not names.following_headers(case.machine):
        which = (
            "one that no installed package keeps up to date"
            if names.is_distributed(case.machine.kernel)
            else "not one of the distribution's"
        )
        doubts.append(
            f"Kernel {case.machine.kernel} is {which}, so that the next one of its kind gets no"
            " headers, and no driver, by itself"
        )
    return case.plan(
        version=version,
        repository=repository(case, system, module=True),
        groups=tuple(group for group in groups if group.packages),
        holds=(*pins, *driver),
        warnings=tuple(doubts),
    )


def _from_canonical(case: DriverInputs, system: System, version: str) -> DriverPlan:
    """Return the plan for Canonical's packages.

    Its archive has one version per branch, so the branch serves as the version.
    """
    flavour, branch, kernel_flavour = _canonical_build(case)
    if case.profile.driver is not None:
        raise Refusal(
            f"Driver {case.profile.driver} cannot be asked for here: Canonical builds one version"
            f" of branch {branch}",
            "Leave driver out of the profile, or turn Secure Boot off and remove that driver",
        )
    releases = tuple(kernel.release for kernel in state.bootable_kernels(case.machine))
    modules = names.canonical_modules(flavour, branch, kernel_flavour, releases)
    packages = (*modules, *names.canonical_userspace(flavour, branch))
    return case.plan(
        version=branch,
        groups=(PackageGroup(name="driver", packages=packages),),
        holds=packages,
    )


def _canonical_build(case: DriverInputs) -> tuple[str, str, str]:
    """Return the flavour, branch and kernel flavour of Canonical's packages."""
    kernel_flavour = names.flavour_of(case.machine)
    if kernel_flavour is None:
        raise Refusal(
            f"Canonical signs no driver modules for kernel {case.machine.kernel}",
            "Boot a kernel of Ubuntu's own, such as linux-generic, or turn Secure Boot off",
        )
    return case.stack.flavour, case.stack.branch or "", kernel_flavour


def _headers(case: DriverInputs, system: System) -> Groups:
    without = tuple(
        kernel.release for kernel in state.bootable_kernels(case.machine) if not kernel.headers
    )
    packages = names.headers(system, case.machine, without)
    return (PackageGroup(name="headers", packages=packages),) if packages else ()


def _prerequisites(case: DriverInputs, system: System) -> Names:
    if system.manager == "apt":
        return ()
    plugins = ("dnf-plugins-core", "python3-dnf-plugin-versionlock")
    # RHEL itself has no package that adds EPEL, which DKMS comes from.
    return plugins if case.machine.os == "rhel" else ("epel-release", *plugins)
