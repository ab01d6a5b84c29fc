"""The driver plan of cards that Vulkan reaches: amdgpu, of the kernel or AMD's, as it is there."""

from __future__ import annotations

from deploys.planning.driver import state
from deploys.planning.driver.driver_inputs import DriverInputs
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.hardware import cards
from deploys.planning.inputs.machine import RHEL_LIKE
from deploys.planning.inputs.refusal import Refusal

_MODULE = "amdgpu"
# What the module reads at its start, and where it is in a package of its own.
_BROUGHT_BY = {
    "debian": "firmware-amd-graphics, of non-free-firmware",
    "ubuntu": "linux-firmware and linux-modules-extra of the running kernel",
}


def vulkan_plan(case: DriverInputs) -> DriverPlan:
    """Return a plan that leaves the driver alone; raise Refusal if a card has none."""
    machine, stack = case.machine, case.stack
    own = cards.ours(machine, case.gpu, case.profile.gpus)
    idle = [card.address for card in own if card.driver != _MODULE]
    if idle:
        brought = _BROUGHT_BY.get(machine.os, "the firmware of these cards")
        raise Refusal(
            f"{_MODULE} of kernel {machine.kernel} drives {len(own) - len(idle)} of {len(own)}"
            f" {case.gpu.name}, and not {', '.join(idle)}",
            f"Install {brought}, reboot, and read why not with: dmesg | grep {_MODULE}; a kernel"
            " older than the cards does not know them",
        )
    return DriverPlan(
        vendor=stack.vendor or "amd",
        action="none",
        version=machine.driver.loaded or f"of kernel {machine.kernel}",
        system="",
        package_manager="dnf" if machine.os in RHEL_LIKE else "apt",
        # Who may open /dev/dri/render*.
        device_groups=("render", "video"),
        confirmed=False,
        warnings=state.gpu_warnings(machine, case.profile, own),
    )
