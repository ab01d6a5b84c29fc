"""What the distribution's own archive gives a GPU driver: DKMS, kernel headers, Canonical's builds.

For one kernel each, so that apt on a test machine finds headers of "its" kernel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from tests.lab import nvidia_parts
from tests.lab.debian_package import Package
from tests.lab.kernel_module import module

# Kernel of each archive: that of the host, which test machines have, too, and those that releases
# of the distributions have (as the simulated machines of the plans' tests).
KERNELS = {
    "debian": os.uname().release,
    "ubuntu": os.uname().release,
    "debian12": "6.1.0-41-amd64",
    "ubuntu2204": "5.15.0-161-generic",
    "ubuntu2404": "6.8.0-87-generic",
}
# Canonical has one version of a branch in its archive.
CANONICAL = "580.173.02"
_FULL = f"{CANONICAL}-0ubuntu0.24.04.1"
# Wins over the package of that name that the machine's real archive has.
_EPOCH = "1:"


def archive(system: str) -> Iterator[Package]:
    """The packages of one of the archives in `KERNELS`."""
    release = KERNELS[system]
    yield Package(
        name="dkms",
        version=f"{_EPOCH}3.0.11-1",
        architecture="all",
        files={"usr/sbin/dkms": nvidia_parts.program("dkms")},
    )
    yield headers(release)
    for flavour in flavours(system, release):
        yield Package(
            name=f"linux-headers-{flavour}",
            version=f"{_EPOCH}{release.partition('-')[0]}-1",
            fields={"Depends": f"linux-headers-{release}"},
        )
    yield Package(name="infiniband-diags", version="44.0-2")
    if system.startswith("ubuntu"):
        yield from _canonical(release)


def headers(release: str) -> Package:
    """The headers package of one kernel."""
    place = f"usr/src/linux-headers-{release}"
    return Package(
        name=f"linux-headers-{release}",
        version=f"{release.partition('-')[0]}-1",
        files={f"{place}/Makefile": "all:\n"},
        links={f"usr/lib/modules/{release}/build": f"/{place}"},
    )


def flavours(system: str, release: str) -> list[str]:
    """Names that the meta packages of this kernel's flavour may have: any tail of the release."""
    parts = release.split("-")[1:]
    tails = ["-".join(parts[begin:]) for begin in range(len(parts))]
    known = {
        "ubuntu": ["generic", "generic-hwe-22.04", "generic-hwe-24.04"],
        "debian": ["amd64", "cloud-amd64"],
    }
    return list(dict.fromkeys([*known[system[:6]], *tails]))


def _canonical(release: str) -> Iterator[Package]:
    """Signed modules and the user space that goes with them; server flavour."""
    branch, server = CANONICAL[:3], f"{CANONICAL[:3]}-server"
    kernel_common = f"nvidia-kernel-common-{server}"
    for suffix, license in (("-open", "Dual MIT/GPL"), ("", "NVIDIA")):
        built = module(version=CANONICAL, license=license, vermagic=release, signed=True)
        name = f"linux-modules-nvidia-{server}{suffix}"
        folder = f"usr/lib/modules/{release}/kernel/nvidia-{branch}srv{suffix}"
        yield Package(
            name=f"{name}-{release}",
            version=_FULL,
            fields={
                "Depends": f"{kernel_common} (>= {CANONICAL})",
                "Conflicts": "lab-nvidia-modules",
                "Provides": "lab-nvidia-modules",
            },
            files={f"{folder}/nvidia.ko": built},
        )
        for flavour in flavours("ubuntu", release):
            fields = {"Depends": f"{name}-{release} (= {_FULL})"}
            yield Package(name=f"{name}-{flavour}", version=_FULL, fields=fields)
        yield Package(
            name=f"nvidia-headless-no-dkms-{server}{suffix}",
            version=_FULL,
            fields={"Depends": f"libnvidia-compute-{server}, nvidia-compute-utils-{server}"},
        )
    yield Package(
        name=kernel_common,
        version=_FULL,
        fields={
            "Provides": f"{kernel_common}-{CANONICAL}",
            "Conflicts": f"nvidia-kernel-common-{branch}",
        },
    )
    files, links = nvidia_parts.library(CANONICAL, "cuda", "nvidia-ml")
    yield _package(f"libnvidia-compute-{server}", files, links, Provides="libnvidia-compute")
    yield _package(f"nvidia-compute-utils-{server}", nvidia_parts.persistenced())
    utils = f"nvidia-utils-{server}"
    yield _package(utils, nvidia_parts.smi(), Depends=f"libnvidia-compute-{server}")
    yield nvidia_parts.fabric_manager(
        f"nvidia-fabricmanager-{branch}",
        CANONICAL,
        _FULL,
        Depends=f"{kernel_common}-{CANONICAL}",
    )
    yield _package(f"libnvidia-nscq-{branch}", *nvidia_parts.library(CANONICAL, "nvidia-nscq"))


def _package(
    name: str,
    files: nvidia_parts.Files,
    links: dict[str, str] | None = None,
    **fields: str,
) -> Package:
    return Package(name=name, version=_FULL, fields=fields, files=files, links=links or {})
