"""Invariants of a machine with an installed driver: one refusal for each that is violated.

The final test, a kernel launched on every GPU, would need a program for it. Here each GPU has
answered its driver's tool; the launch is left to the engine, whose service counts as running only
once a model has answered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploys.planning.driver.plan import DriverPlan
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal

# What says more: of the kernel, and of the driver's own tool.
_MODULE = {"nvidia": "nvidia", "amd": "amdgpu"}
_TOLD = {"nvidia": "dmesg | grep -iE 'nvrm|xid'", "amd": "dmesg | grep -i amdgpu"}
_TOOL = {"nvidia": "nvidia-smi", "amd": "/opt/rocm/bin/amd-smi list"}


def violations(driver: DriverPlan, gpus: Sequence[str], machine: Machine) -> tuple[Refusal, ...]:
    """Return what is wrong with `driver` on the `gpus` of `machine`, given by PCI address."""
    if driver.vendor == "amd":
        return (
            *_loaded(driver, machine),
            *_kernels(driver, machine),
            *_compute_device(machine),
            *_cards(driver, gpus, machine),
            *_holds(driver, machine),
        )
    return (
        *_loaded(driver, machine),
        *_versions(driver, machine),
        *_kernels(driver, machine),
        *_nouveau(machine),
        *_cards(driver, gpus, machine),
        *_holds(driver, machine),
    )


def _loaded(driver: DriverPlan, machine: Machine) -> Iterator[Refusal]:
    found = machine.driver
    if not driver.accepts(found.loaded):
        why = f": {found.error}" if found.error else ""
        yield Refusal(
            f"Driver {driver.version} is installed, and {_or_none(found.loaded)} is loaded{why}",
            f"Read why with: {_TOLD[driver.vendor]}; modprobe {_MODULE[driver.vendor]}",
        )
    elif driver.flavour and found.flavour != driver.flavour:
        yield Refusal(
            f"The {found.flavour} module is loaded, these GPUs want the {driver.flavour} one",
            "Reboot, then run this again",
        )


def _versions(driver: DriverPlan, machine: Machine) -> Iterator[Refusal]:
    """Yield refusals if user space or the fabric manager differ from the loaded version."""
    found = machine.driver
    if found.loaded and found.userspace and found.loaded != found.userspace:
        yield Refusal(
            f"Driver {found.loaded} is loaded, and the libraries are of {found.userspace}",
            "Reboot, then run this again",
        )
    elif not driver.accepts(found.userspace):
        yield Refusal(
            f"Programs load libnvidia-ml {_or_none(found.userspace)}, not {driver.version}",
            "Look for a second installation of the driver with: ldconfig -p | grep nvidia-ml",
        )
    if driver.fabric_manager and found.fabric_manager != found.loaded:
        yield Refusal(
            f"The fabric manager is {_or_none(found.fabric_manager)}, the driver is"
            f" {_or_none(found.loaded)}, and they work together only at the same version",
            "Run this again, which installs the same version",
        )
    elif driver.fabric_manager and not found.fabric_manager_active:
        yield Refusal(
            "The fabric manager does not run, so no GPU of this machine can start work",
            "Read why with: journalctl -u nvidia-fabricmanager",
        )


def _kernels(driver: DriverPlan, machine: Machine) -> Iterator[Refusal]:
    there = {kernel.release: kernel for kernel in machine.kernels}
    for release in driver.kernels:
        kernel = there.get(release)
        if kernel is None:
            continue  # It was removed since.
        if not driver.accepts(kernel.module):
            yield Refusal(
                f"Kernel {release} has module {_or_none(kernel.module)}, not {driver.version}",
                f"Build it with: dkms autoinstall -k {release}",
            )
        elif machine.secure_boot and not kernel.signed:
            yield Refusal(
                f"Secure Boot will not let kernel {release} load its module, which is not signed",
                "Run this again, which says how to enrol a key",
            )


def _nouveau(machine: Machine) -> Iterator[Refusal]:
    if machine.nouveau:
        yield Refusal("nouveau holds the GPUs", "Reboot, then run this again")
    if machine.nouveau_in_initramfs:
        yield Refusal(
            "nouveau would take the GPUs at the next boot",
            "Rebuild the initramfs with: update-initramfs -u -k all (or: dracut -f)",
        )


def _compute_device(machine: Machine) -> Iterator[Refusal]:
    if machine.driver.loaded and not machine.driver.kfd:
        yield Refusal(
            "There is no /dev/kfd, through which programs compute on AMD's cards",
            "Read why with: dmesg | grep -i kfd; and switch on PCIe atomics in the firmware",
        )


def _cards(driver: DriverPlan, gpus: Sequence[str], machine: Machine) -> Iterator[Refusal]:
    ours = [gpu for gpu in machine.gpus if gpu.address in gpus]
    answering = [gpu for gpu in ours if gpu.index is not None]
    indices = {gpu.index for gpu in answering}
    if len(answering) < len(gpus):
        said = f": {machine.driver.error}" if machine.driver.error else ""
        yield Refusal(
            f"{len(answering)} of {len(gpus)} GPUs answer their driver{said}",
            f"Read why with: {_TOOL[driver.vendor]}; {_TOLD[driver.vendor]}",
        )
    for gpu in answering:
        if gpu.persistence is False:
            yield Refusal(
                f"GPU {gpu.index} at {gpu.address} is not kept initialised",
                "Read why with: journalctl -u nvidia-persistenced",
            )
        if gpu.remap_pending or gpu.uncorrected:
            yield Refusal(
                f"GPU {gpu.index} at {gpu.address} has memory errors that a reset has to clear",
                "Power the machine off and on; replace the card if they come back",
            )
    links = [link for link in machine.links if {link.first, link.second} <= indices]
    if driver.fabric_manager and any(not link.kind.startswith("NV") for link in links):
        yield Refusal(
            "Some GPUs of this machine do not reach each other over NVSwitch",
            "See which with: nvidia-smi topo -m; then read journalctl -u nvidia-fabricmanager",
        )
    for line in machine.xids[-1:]:
        yield Refusal(
            f"The kernel log has GPU errors since this boot, the last: {line}",
            "Look the number up in NVIDIA's Xid table, and power the machine off and on",
        )


def _holds(driver: DriverPlan, machine: Machine) -> Iterator[Refusal]:
    loose = sorted({*driver.holds} - {*machine.driver.held})
    if loose:
        yield Refusal(
            f"An upgrade of the system may replace {', '.join(loose)} under running services",
            "Run this again, which holds them",
        )


def _or_none(version: str | None) -> str:
    return version or "none"
