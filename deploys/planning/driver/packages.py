"""Package names of NVIDIA's driver, by distribution, branch and module flavour.

Sources, read 2026-11-25: NVIDIA's driver installation guide and the scripts of gpu-driver-container
for its own repository, packages.ubuntu.com for Canonical's. Names that were not seen are marked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from deploys.planning.hardware.software_stacks import parsed
from deploys.planning.inputs.machine import RHEL_LIKE, Machine


@dataclass(frozen=True, kw_only=True)
class System:
    """One release of a distribution, as NVIDIA's repository and its own kernels name it.

    + directory: in NVIDIA's repository; architectures: available there
    + manager: "apt" or "dnf"
    + kernel: version of the release's own kernel; a newer one is called hwe (Ubuntu)
    + cuda: release of the toolkit that is published for each platform of a software stack; a
      platform without one is left out
    + monitoring: DCGM is published for it
    + needs: repositories or components to enable first
    """

    directory: str
    manager: str
    architectures: tuple[str, ...] = ("x86_64", "sbsa")
    kernel: tuple[int, ...] = ()
    cuda: dict[str, str] = field(default_factory=lambda: {"CUDA 13.0": "13.0", "CUDA 12.9": "12.9"})
    monitoring: bool = True
    needs: tuple[str, ...] = ()


# Debian 13: the index was seen without 13.0 in May 2026; 13-1 was not seen, it follows the pattern.
_SYSTEMS: dict[tuple[str, str], System] = {
    ("ubuntu", "22.04"): System(directory="ubuntu2204", manager="apt", kernel=(5, 15)),
    ("ubuntu", "24.04"): System(directory="ubuntu2404", manager="apt", kernel=(6, 8)),
    ("debian", "12"): System(
        directory="debian12", manager="apt", architectures=("x86_64",), needs=("contrib",)
    ),
    ("debian", "13"): System(
        directory="debian13",
        manager="apt",
        architectures=("x86_64",),
        cuda={"CUDA 13.0": "13.1"},
        monitoring=False,
        needs=("contrib",),
    ),
    ("rocky", "8"): System(directory="rhel8", manager="dnf", needs=("powertools",)),
    ("rocky", "9"): System(directory="rhel9", manager="dnf", needs=("crb",)),
    ("rhel", "8"): System(
        directory="rhel8", manager="dnf", needs=("codeready-builder-for-rhel-8-x86_64-rpms",)
    ),
    ("rhel", "9"): System(
        directory="rhel9", manager="dnf", needs=("codeready-builder-for-rhel-9-x86_64-rpms",)
    ),
}

# Kernel flavours that have a package of headers, and of Canonical's signed modules, that follows
# each new kernel. The newer line of a release is called hwe for the first ones.
_HWE = ("generic", "generic-64k", "lowlatency", "nvidia", "nvidia-64k")
_UBUNTU_FLAVOURS = (*_HWE, "aws", "azure", "gcp", "oracle", "kvm")
_DEBIAN_FLAVOURS = ("amd64", "cloud-amd64", "rt-amd64", "arm64", "cloud-arm64", "rt-arm64")
# Distributions number their kernels so: 6.8.0-87-generic, 6.1.0-41-amd64, 6.12.30+bpo-amd64,
# 6.8.12-4-pve. Others have flavours beside these, and name the package as they like.
_DISTRIBUTED = re.compile(
    r"\d+\.\d+\.0-\d+-[\w-]+|\d[\d.]*(?:-\d+|\+bpo|\+deb\d+)-(?:\w+-)?(?:amd|arm)64|.*-pve"
)
# RHEL's kinds of kernel, as the release says them, and the package of their headers.
_RHEL_KINDS = (
    ("+rt", "-rt"),
    (".rt", "-rt"),
    ("+64k", "-64k"),
    ("+debug", "-debug"),
    ("uek", "-uek"),
)


def system_of(machine: Machine) -> System | None:
    """Return the row of this machine's distribution, or None if it is not known."""
    if machine.os in RHEL_LIKE:
        name = "rhel" if machine.os == "rhel" else "rocky"
        return _SYSTEMS.get((name, machine.os_version.split(".")[0]))
    return _SYSTEMS.get((machine.os, machine.os_version))


def architecture(machine: Machine) -> str:
    """Return the machine's architecture as NVIDIA's repository names it."""
    return {"aarch64": "sbsa"}.get(machine.architecture, machine.architecture)


def flavour_of(machine: Machine) -> str | None:
    """Return the kernel flavour used as a package suffix, such as generic-hwe-22.04, or None."""
    if machine.os == "debian":
        # The package of a backport is called like the release's own, and is not preferred to it.
        if "bpo" in machine.kernel:
            return None
        match = re.search(rf"-({'|'.join(_DEBIAN_FLAVOURS)})$", machine.kernel)
        return match[1] if match else None
    match = re.search(rf"-\d+-({'|'.join(_UBUNTU_FLAVOURS)})$", machine.kernel)
    system = system_of(machine)
    if match is None or system is None:
        return None
    newer = parsed(machine.kernel)[:2] > system.kernel
    return f"{match[1]}-hwe-{machine.os_version}" if newer and match[1] in _HWE else match[1]


def headers(system: System, machine: Machine, without: tuple[str, ...]) -> tuple[str, ...]:
    """Return the packages with headers for the kernels that lack them, and for each new kernel.

    + without: kernels without headers
    """
    if system.manager == "dnf":
        kind = _rhel_kind(machine.kernel)
        match_new = (f"kernel{kind}-devel-matched",) if system.directory == "rhel9" else ()
        if kind == "-uek":
            match_new = ("kernel-uek-devel",)
        devel = (f"kernel{_rhel_kind(each)}-devel-{each.partition('+')[0]}" for each in without)
        return (*devel, "kernel-headers", *match_new)
    return (*map(_headers_of, without), *following_headers(machine))


def following_headers(machine: Machine) -> tuple[str, ...]:
    """Return the packages that bring the headers of each new kernel; apt's, () if none is known.

    What brings the kernels themselves has one beside it; without that, they are named by flavour.
    """
    if machine.kernel_packages:
        renamed = (
            name.replace("linux-image-", "linux-headers-").replace("-kernel", "-headers")
            for name in machine.kernel_packages
        )
        return tuple(renamed)
    flavour = flavour_of(machine)
    if machine.os == "ubuntu" and machine.kernel.endswith("-oem"):
        flavour = f"oem-{machine.os_version}"
    if machine.kernel.endswith("-pve"):
        return ("proxmox-default-headers",)
    return (f"linux-headers-{flavour}",) if flavour else ()


def is_distributed(kernel: str) -> bool:
    """Return whether a kernel's release is numbered as those of a distribution are."""
    return _DISTRIBUTED.fullmatch(kernel) is not None


def _headers_of(release: str) -> str:
    family = "proxmox" if release.endswith("-pve") else "linux"
    return f"{family}-headers-{release}"


def _rhel_kind(release: str) -> str:
    return next((kind for mark, kind in _RHEL_KINDS if mark in release), "")


def pinning(system: System, version: str) -> tuple[str, ...]:
    """Return the packages that pin apt to one version, to install before the driver's."""
    return (f"nvidia-driver-pinning-{version}",) if system.manager == "apt" else ()


def driver(system: System, version: str, flavour: str) -> tuple[str, ...]:
    """Return the headless driver's packages: module, libraries, nvidia-smi, persistence daemon."""
    is_open = flavour == "open"
    if system.manager == "dnf":
        module = "kmod-nvidia-open-dkms" if is_open else "kmod-nvidia-latest-dkms"
        return (module, "nvidia-driver-cuda", "nvidia-persistenced")
    if system.directory.startswith("debian"):
        module = "nvidia-kernel-open-dkms" if is_open else "nvidia-kernel-dkms"
        return (module, "nvidia-driver-cuda", "nvidia-persistenced")
    # Ubuntu's names lost the branch with 590.
    branch = parsed(version)[0]
    suffix = f"-{branch}" if branch < 590 else ""
    return (
        f"nvidia-dkms{suffix}-open" if is_open else f"nvidia-dkms{suffix}",
        f"libnvidia-compute{suffix}",
        f"nvidia-utils{suffix}",
        "nvidia-persistenced",
    )


def fabric(version: str, nvlink5: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the packages that NVSwitch needs: those of the driver's version, and independent ones.

    + nvlink5: its switches speak InfiniBand management, which needs its own manager (HGX B200)
    """
    branch = parsed(version)[0]
    suffix = "" if branch >= 580 else f"-{branch}"
    names = ("nvidia-fabricmanager", "libnvidia-nscq", "nvidia-imex")
    same = tuple(f"{name}{suffix}" for name in names)
    return (*same, f"libnvsdm{suffix}") if nvlink5 else same, (
        ("nvlsm", "infiniband-diags") if nvlink5 else ()
    )


def libraries(cuda: str) -> tuple[str, ...]:
    """Return the CUDA packages that compiled programs load.

    Source: Dockerfiles of nvidia/cuda, runtime; for `compiler`, devel.
    """
    return _of(cuda, "cuda-cudart", "libcublas")


def compiler(cuda: str) -> tuple[str, ...]:
    """Return the CUDA packages for apt that programs are compiled with."""
    return _of(cuda, "cuda-minimal-build", "libcublas-dev")


# For KTransformers, whose packages are built for 12.8, and load what any later CUDA 12 compiles. No
# package on the index has its compiler.
AT_RUN_TIME = "12.9"


def at_run_time() -> tuple[str, ...]:
    """Return the CUDA packages for apt that an engine needs to compile kernels at run time.

    DeepGEMM finds what it has compiled by `cuobjdump -symbols`, and cuda-minimal-build lacks it.
    """
    tools = _of(AT_RUN_TIME, "cuda-cuobjdump", "cuda-nvrtc-dev", "libcurand-dev")
    return (*compiler(AT_RUN_TIME), *tools)


def _of(cuda: str, *names: str) -> tuple[str, ...]:
    """Return package names with the suffix of one CUDA release."""
    return tuple(f"{name}-{cuda.replace('.', '-')}" for name in names)


def canonical_modules(
    flavour: str, branch: str, kernel_flavour: str, kernels: tuple[str, ...]
) -> tuple[str, ...]:
    """Return Canonical's modules, signed for Secure Boot, for these kernels and new ones."""
    server = _server(flavour, branch)
    return (
        *(f"linux-modules-nvidia-{server}-{release}" for release in kernels),
        f"linux-modules-nvidia-{server}-{kernel_flavour}",
    )


def canonical_userspace(flavour: str, branch: str) -> tuple[str, ...]:
    """Return the packages of Canonical's libraries, nvidia-smi and persistence daemon."""
    return (f"nvidia-headless-no-dkms-{_server(flavour, branch)}", f"nvidia-utils-{branch}-server")


def canonical_fabric(branch: str) -> tuple[str, ...]:
    """Return Canonical's packages for NVSwitch; the first depends on the exact driver version."""
    return (f"nvidia-fabricmanager-{branch}", f"libnvidia-nscq-{branch}")


def versioned(system: System, names: tuple[str, ...], version: str) -> tuple[str, ...]:
    """Return names in the package manager's syntax for one version, of whatever revision."""
    if system.manager == "dnf":
        return tuple(f"{name}-{version}" for name in names)
    return tuple(f"{name}={version}-*" for name in names)


def _server(flavour: str, branch: str) -> str:
    return f"{branch}-server-open" if flavour == "open" else f"{branch}-server"
