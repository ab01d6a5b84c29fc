"""The GPU driver: loaded module, library, packages, modules on disk, and what it reports."""

from __future__ import annotations

import platform
import re
from typing import Any

from ..lib.probe import read, run
from . import amd, ascend, kernel_log, kernels, nvidia, packages

# As the package manager writes it: an epoch and a revision around the driver's version.
_VERSION = re.compile(r"(?:\d+:)?(\d+\.\d[\d.]*)")
# With the branch in its name below 580; with another dash on RHEL.
_FABRIC_MANAGER = re.compile(r"nvidia-fabric-?manager(?:-\d+)?")


def report(gpus: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the facts about this machine's GPUs, and complete the entries in `gpus`.

    A vendor's tool is run only if the bus shows a card of that vendor.
    """
    vendors = {gpu["pci_id"][:4] for gpu in gpus}
    nouveau = kernels.is_loaded("nouveau")
    running = platform.release()
    has_nvidia = "10de" in vendors
    module = "nvidia" if has_nvidia else "amdgpu" if "1002" in vendors else ""
    driver, links = _driver(gpus, vendors)
    found = packages.installed()
    if gpus and not found.packages and packages.RPM.is_dir():
        found = packages.rpm_installed()
    fabric = next(filter(_FABRIC_MANAGER.fullmatch, found.packages), None)
    service, _ = run("systemctl", "is-active", "nvidia-fabricmanager") if fabric else ("", "")
    xids, of_applications = kernel_log.errors() if gpus else ([], [])
    return {
        "gpus": gpus,
        "links": links,
        "kernels": kernels.installed(running, module),
        "secure_boot": kernels.secure_boot(),
        "nouveau": nouveau,
        "nouveau_in_initramfs": has_nvidia
        and kernels.nouveau_at_boot(running, nouveau, read("/proc/cmdline")),
        "xids": xids,
        "application_xids": of_applications,
        "broken_packages": found.broken,
        "kernel_packages": found.kernels,
        "driver": {
            **driver,
            "fabric_manager": _version(found.packages[fabric]) if fabric else None,
            "fabric_manager_active": service.strip() == "active",
            "packages": found.packages,
            "held": found.held,
        },
    }


def of_tree() -> dict[str, Any]:
    """Return what `report` does, of an image's tree: what is loaded or runs is the builder's."""
    found = packages.installed()
    if not found.packages and packages.RPM.is_dir():
        found = packages.rpm_installed()
    of_nvidia = any("nvidia" in name for name in found.packages)
    of_amd = any(name.startswith("amdgpu") for name in found.packages)
    fabric = next(filter(_FABRIC_MANAGER.fullmatch, found.packages), None)
    return {
        "gpus": [],
        "kernels": kernels.installed("", "nvidia" if of_nvidia else "amdgpu" if of_amd else ""),
        "nouveau_in_initramfs": kernels.nouveau_at_boot("", False, ""),
        "broken_packages": found.broken,
        "kernel_packages": found.kernels,
        "driver": {
            "userspace": nvidia.userspace() if of_nvidia else None,
            "fabric_manager": _version(found.packages[fabric]) if fabric else None,
            "packages": found.packages,
            "held": found.held,
        },
    }


def _driver(
    gpus: list[dict[str, Any]], vendors: set[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what each vendor's driver reports, and the links between the cards.

    A machine has the cards of one vendor, and at times a display adapter of another.
    """
    version, flavour, library, kfd, toolkit = None, None, None, None, None
    links: list[dict[str, Any]] = []
    errors = []
    if "10de" in vendors:
        version, flavour = nvidia.loaded(read("/proc/driver/nvidia/version"))
        library = nvidia.userspace()
        links, error = nvidia.add_driver_details(_of("10de", gpus))
        errors.append(error)
    if "1002" in vendors:
        version, kfd = version or amd.loaded(), amd.has_kfd()
        more, error = amd.add_driver_details(_of("1002", gpus))
        links, errors = links or more, [*errors, error]
    if "19e5" in vendors:
        huawei, more, error = ascend.add_driver_details(_of("19e5", gpus))
        version, links, errors = version or huawei, links or more, [*errors, error]
        toolkit = ascend.toolkit()
    return {
        "loaded": version,
        "flavour": flavour,
        "userspace": library,
        "kfd": kfd,
        "toolkit": toolkit,
        "error": "; ".join(filter(None, errors)),
    }, links


def _of(vendor: str, gpus: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [gpu for gpu in gpus if gpu["pci_id"].startswith(vendor)]


def _version(package: str) -> str:
    match = _VERSION.match(package)
    return match[1] if match else package
