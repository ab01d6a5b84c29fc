"""The golden unit of an appliance: what stands for the hardware where there is only its tree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploys.planning.hardware.software_stacks import parsed
from deploys.planning.inputs.machine import Driver, Machine
from deploys.planning.inputs.refusal import Refusal

# What every unit of a series has; the rest is of the one that was looked at.
_HARDWARE = (
    "architecture",
    "cpu",
    "isa",
    "features",
    "cores",
    "numa_nodes",
    "nodes",
    "memory",
    "gpus",
    "links",
    "nvswitches",
    "secure_boot",
)
# Of a card that every such card has: no number of its own, nothing that it does at the moment.
_CARD = (
    "address",
    "pci_id",
    "subsystem",
    "numa",
    "lanes_max",
    "index",
    "name",
    "memory",
    "compute",
)


def hardware_of(machine: Machine) -> dict[str, Any]:
    """Return what a series has of its golden unit, as JSON."""
    described = machine.to_json()
    found = {field: described[field] for field in _HARDWARE}
    cards = [{field: card[field] for field in _CARD} for card in found["gpus"]]
    return {**found, "gpus": cards}


def as_unit(tree: Machine, golden: dict[str, Any]) -> Machine:
    """Return the machine that a tree becomes: its system and kernel, with a unit's hardware.

    + tree: what was read inside it, where hardware and processes are those of the builder
    + golden: what `hardware_of` returned of one unit

    Raise Refusal if a tree cannot become such a unit.
    """
    try:
        there = Machine.from_json({**tree.to_json(), **{key: golden[key] for key in _HARDWARE}})
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(
            f"The golden unit's hardware cannot be read: {error!r}",
            "Write the file anew, with deploys/golden.py on that unit",
        ) from error
    if there.architecture != tree.architecture:
        raise Refusal(
            f"The tree is {tree.architecture}, and the golden unit is {there.architecture}",
            "Make the tree of the unit's architecture, on a machine that has it",
        )
    newest = max((each.release for each in tree.kernels), key=parsed, default="")
    if there.gpus and not newest:
        raise Refusal(
            "There is no kernel in this tree, and a GPU driver belongs to one",
            "Install the kernel that the units boot, with its headers, in the tree first",
        )
    # Nobody has loaded anything yet, and what runs here belongs to the builder.
    found = tree.driver
    driver = Driver(
        userspace=found.userspace,
        fabric_manager=found.fabric_manager,
        packages=found.packages,
        held=found.held,
    )
    return replace(
        there,
        hostname="",
        kernel=newest,
        driver=driver,
        memory_available=None,
        nouveau=False,
        ports={},
        holders=(),
        addresses=(),
        operator=None,
        xids=(),
        application_xids=(),
    )
