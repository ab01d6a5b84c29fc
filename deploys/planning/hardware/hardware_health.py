"""What keeps a card from being ours: faults that it reports itself, and whom it is given to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploys.planning.hardware.vgpus import is_vgpu
from deploys.planning.inputs.machine import Gpu, Machine
from deploys.planning.inputs.refusal import Refusal

# Drivers that keep a card for a virtual machine.
_KEEPERS = {"vfio-pci", "nvidia-vgpu-vfio", "pci-stub", "pciback", "xen-pciback"}


def refusals(machine: Machine, cards: Sequence[Gpu]) -> Iterator[Refusal]:
    """Yield what a model server would fail on, or answer wrongly with, on our `cards`."""
    yield from not_ours(cards)
    for gpu in cards:
        yield from _faults(gpu, machine)


def is_ailing(gpu: Gpu, machine: Machine) -> bool:
    """Return whether anything keeps one card from being used."""
    return any(True for _ in refusals(machine, [gpu]))


def is_given_away(gpu: Gpu) -> bool:
    """Return whether one card is given to virtual machines, or is a slice of one."""
    return any(True for _ in not_ours([gpu]))


def not_ours(cards: Sequence[Gpu]) -> Iterator[Refusal]:
    """Yield a refusal for cards that are given to virtual machines, and one for slices of cards."""
    given = [card for card in cards if card.driver in _KEEPERS or card.functions]
    if given:
        by = sorted({card.driver for card in given if card.driver in _KEEPERS})
        yield Refusal(
            f"{_gpus(given)} given to virtual machines"
            f" ({' and '.join(by) if by else 'divided into virtual functions'})",
            "Leave them to these: say in the profile how many are free (gpus), or run this in the"
            " virtual machine; or give them back to the host first",
        )
    slices = [card for card in cards if is_vgpu(card)]
    if slices:
        name = next((card.name for card in slices if card.name), "vGPU")
        yield Refusal(
            f"{_gpus(slices)} a slice of a card ({name}), and we plan whole cards; its driver is"
            " left alone",
            "Have the virtual machine given a whole card (PCI passthrough), or use a profile"
            " without a GPU",
        )


def _gpus(cards: Sequence[Gpu]) -> str:
    addresses = ", ".join(card.address for card in cards)
    return f"GPUs {addresses} are" if len(cards) > 1 else f"GPU {addresses} is"


def _faults(gpu: Gpu, machine: Machine) -> Iterator[Refusal]:
    """Yield what is wrong with one card."""
    if gpu.broken:
        yield Refusal(
            f"GPU {gpu.address} does not answer for itself: its driver says {gpu.broken}",
            "Reboot the machine, or power it off and on, and have the card checked if it happens"
            " again",
        )
    if _is_gone(gpu, machine):
        yield Refusal(
            f"GPU {gpu.address} is on the PCI bus, but its driver does not see it",
            "Look for its last words with: dmesg | grep -e Xid -e NVRM; then power the machine"
            " off and on, and have the card checked if it happens again",
        )
    if gpu.uncorrected:
        yield Refusal(
            f"GPU {gpu.address} has {gpu.uncorrected} uncorrected memory errors",
            "Look at nvidia-smi -q -d ECC,ROW_REMAPPER, reboot the machine, and have the card"
            " exchanged if they come back",
        )
    if gpu.remap_pending:
        yield Refusal(
            f"GPU {gpu.address} waits for a reset to replace damaged rows of its memory",
            "Reboot the machine, then run this again",
        )
    if gpu.mig:
        yield Refusal(
            f"GPU {gpu.address} is cut into MIG slices, and we plan whole cards",
            f"Switch that off with: nvidia-smi -i {gpu.address} -mig 0",
        )


def warnings(machine: Machine) -> Iterator[str]:
    """Yield a warning for each fault that slows the machine down or may grow worse."""
    for gpu in machine.gpus:
        if gpu.lanes and gpu.lanes_max and gpu.lanes < gpu.lanes_max:
            yield (
                f"GPU {gpu.address} uses {gpu.lanes} of {gpu.lanes_max} PCIe lanes: look at its"
                " slot and riser"
            )
    if machine.xids:
        yield f"The kernel log reports GPU errors since boot: {_latest(machine.xids)}"
    if machine.application_xids:
        yield (
            "The kernel log reports errors of programs on the GPUs since boot, which say nothing"
            f" against the cards: {_latest(machine.application_xids)}"
        )
    if machine.driver.error:
        yield f"The GPU driver's own tool fails: {machine.driver.error}"
    if machine.broken_packages:
        yield (
            "The package manager was interrupted and left packages half installed:"
            f" {' '.join(machine.broken_packages)}; that is mended before anything else is"
            " installed"
        )


def _latest(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"{lines[-1].strip()}{more}"


def _is_gone(gpu: Gpu, machine: Machine) -> bool:
    """Return whether the driver lists other cards of its vendor, but not this one of them."""
    return (
        gpu.index is None
        and not is_given_away(gpu)
        and any(
            other.index is not None and other.pci_id[:4] == gpu.pci_id[:4] for other in machine.gpus
        )
    )
