"""A card that an inventory describes, as the table does not have it."""

from __future__ import annotations

from deploys.planning.hardware.gpus import Accelerator

OWN = Accelerator(
    name="RTX 6000D",
    vendor="nvidia",
    generation="blackwell",
    pci_ids=("10de:2bb9",),
    memory=84 << 30,
    compute="12.0",
    bandwidth=1.4e12,
)
