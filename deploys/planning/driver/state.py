"""The current GPUs and driver of a machine, and the reasons not to touch them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deploys.planning.driver.plan import DriverPlan
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware import cards, hardware_health
from deploys.planning.hardware.gpus import Accelerator, by_pci_id
from deploys.planning.hardware.software_stacks import SoftwareStack, parsed
from deploys.planning.inputs.machine import Gpu, Holder, Kernel, Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal

# Units that hold GPUs and are ours, or belong to the driver itself.
_NOT_OTHERS = (
    *(engine.unit_prefix for engine in ENGINES.values()),
    *("nvidia-persistenced", "nvidia-fabricmanager", "nvidia-dcgm", "dcgm-exporter"),
)
# The same where a process is in no unit that was seen.
_NOT_OTHERS_BY_NAME = ("nvidia-persiste", "nv-fabricmanage", "nv-hostengine")
# Cards of a machine that NVSwitch joins.
_SWITCHED = 8


def check_gpus(machine: Machine, profile: HostProfile, gpu: Accelerator) -> None:
    """Raise Refusal if GPUs of the profile are not there, not ours, or fallen off the bus."""
    kind = [each for each in machine.gpus if each.pci_id in gpu.pci_ids]
    others = [each for each in machine.gpus if each not in kind]
    if len(kind) < profile.gpus and others:
        unknown = any(by_pci_id(each.pci_id) is None for each in others)
        described = "; describe there what is unknown (gpu=Accelerator(...))" if unknown else ""
        raise Refusal(
            f"The profile says {profile.gpus} x {gpu.name}, and there is {_counted(machine)} on the"
            " PCI bus",
            "Name what is there in the profile, or move the machine to the inventory of its class"
            + described,
        )
    if len(kind) < profile.gpus:
        raise Refusal(
            f"{profile.gpus - len(kind)} of {profile.gpus} {gpu.name} are missing: the PCI bus"
            f" shows {len(kind)}",
            "Look for them with lspci and in the log of the firmware, reseat or replace the cards,"
            " or declare fewer in the profile",
        )
    for refusal in hardware_health.not_ours(cards.ours(machine, gpu, profile.gpus)):
        raise refusal
    kind = [each for each in kind if not hardware_health.is_given_away(each)]
    unseen = [each.address for each in kind if each.index is None]
    if unseen and len(kind) - profile.gpus < len(unseen) < len(kind):
        raise Refusal(
            f"The driver does not see {len(unseen)} of {len(kind)} {gpu.name}, at"
            f" {', '.join(unseen)}, which are on the PCI bus",
            "Read dmesg for Xid lines, power the machine off and on again, and replace a card that"
            " stays missing",
        )


def _counted(machine: Machine) -> str:
    """Return `4 x H20 and 1 x 10de:1d01 (unknown)`, of all cards that are there."""
    found = Counter(each.pci_id for each in machine.gpus)
    return " and ".join(
        f"{count} x {known.name if (known := by_pci_id(pci_id)) else f'{pci_id} (unknown)'}"
        for pci_id, count in found.items()
    )


def check_idle(machine: Machine, profile: HostProfile) -> None:
    """Raise Refusal if processes that are not ours use the GPUs, unless the profile allows it."""
    if profile.allow_busy_gpus:
        return
    if holders := foreign_processes(machine):
        first, more = holders[0], len(holders) - 1
        raise Refusal(
            f"Something that is not ours uses the GPUs: {first.name} (pid {first.pid}"
            + (f", {first.unit}" if first.unit else "")
            + (f") and {more} more" if more else ")"),
            "Stop it, or set allow_busy_gpus=True in the profile to go on all the same",
        )


def check_reboot(plan: DriverPlan, profile: HostProfile) -> None:
    """Raise Refusal if the plan needs a reboot and the profile forbids it."""
    if plan.reboot and not profile.reboot:
        raise Refusal(
            f"A reboot is needed, as {plan.reason}, and the profile forbids it",
            "Set reboot=True in the profile for one run, at a time when the machine may go down",
        )


def foreign_processes(machine: Machine) -> tuple[Holder, ...]:
    """Return the processes on the GPUs that neither we nor the driver started."""
    return tuple(
        holder
        for holder in machine.holders
        if not holder.unit.startswith(_NOT_OTHERS)
        and not holder.name.startswith(_NOT_OTHERS_BY_NAME)
    )


def bootable_kernels(machine: Machine) -> tuple[Kernel, ...]:
    """Return the running kernel and the newest one, which is booted next."""
    running = next(
        (each for each in machine.kernels if each.release == machine.kernel),
        Kernel(release=machine.kernel, headers=False),
    )
    newest = max((running, *machine.kernels), key=lambda kernel: parsed(kernel.release))
    return (running,) if newest == running else (running, newest)


def on_disk(machine: Machine) -> str | None:
    """Return the version of the module that the running kernel would load."""
    return bootable_kernels(machine)[0].module


def usable(
    version: str | None,
    flavour: str | None,
    gpu: Accelerator,
    stack: SoftwareStack,
    wanted: str | None,
) -> bool:
    """Return whether a driver version and flavour suits these cards and this profile.

    + flavour: None if it is not known, as for a module that is not loaded
    + wanted: the version that the profile names
    """
    if version is None or (wanted is not None and version != wanted):
        return False
    if stack.minimum and parsed(version) < parsed(stack.minimum):
        return False
    if stack.last_branch and parsed(version)[0] > stack.last_branch:
        return False
    # Blackwell works with open modules alone, Volta with proprietary ones, the others with both.
    demanded = {"volta": "proprietary", "blackwell": "open"}.get(gpu.generation)
    return flavour is None or demanded is None or flavour == demanded


def gpu_warnings(machine: Machine, profile: HostProfile, own: Sequence[Gpu]) -> tuple[str, ...]:
    """Return warnings about degraded cards of the profile's kind, and about unused ones."""
    kind = [card for card in machine.gpus if card.pci_id in {each.pci_id for each in own}]
    sick = hardware_health.refusals(machine, kind)
    found = [*hardware_health.warnings(machine), *(each.reason for each in sick)]
    if len(machine.gpus) > profile.gpus:
        numbers = [number for number, _ in cards.numbered(own, machine)]
        found.append(
            f"The profile uses {profile.gpus} of {len(machine.gpus)} GPUs:"
            f" {', '.join(map(str, numbers))}; the others are left alone"
        )
    return tuple(found)


def fabric_manager_matches(machine: Machine, version: str) -> bool:
    """Return whether the fabric manager is running at exactly the driver's version."""
    return machine.driver.fabric_manager == version and machine.driver.fabric_manager_active


def has_nvswitch(machine: Machine, profile: HostProfile, gpu: Accelerator) -> bool:
    """Return whether NVSwitch connects the cards; on HGX B200 it is not on the PCI bus."""
    there = sum(card.pci_id in gpu.pci_ids for card in machine.gpus)
    return machine.nvswitches > 0 or (
        gpu.link == "nvswitch" and max(profile.gpus, there) == _SWITCHED
    )
