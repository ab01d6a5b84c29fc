"""What hardware says of itself: refused, warned of, or fine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.hardware import hardware_health
from deploys.planning.inputs.machine import Driver, Gpu, Machine
from tests.plans.simulated import MACHINES

H200 = Machine.from_json(MACHINES["h200"])


def with_a_gpu(**fields: Any) -> Machine:
    """The H200 machine, its third card as `fields` say."""
    gpus = list(H200.gpus)
    gpus[2] = replace(gpus[2], **fields)
    return replace(H200, gpus=tuple(gpus))


@pytest.mark.parametrize("name", MACHINES)
def test_a_healthy_machine_is_fine(name: str) -> None:
    machine = Machine.from_json(MACHINES[name])
    assert list(hardware_health.refusals(machine, machine.gpus)) == []
    assert list(hardware_health.warnings(machine)) == []


@pytest.mark.parametrize(
    ("fields", "reason", "hint"),
    [
        ({"index": None}, "its driver does not see it", "power the machine off"),
        ({"uncorrected": 3}, "3 uncorrected memory errors", "exchanged"),
        ({"remap_pending": True}, "waits for a reset", "Reboot"),
        ({"mig": True}, "MIG slices", "-mig 0"),
        ({"broken": "GPU is lost"}, "its driver says GPU is lost", "power it off"),
        ({"driver": "vfio-pci", "index": None}, "virtual machines (vfio-pci)", "how many are free"),
        ({"functions": 16}, "virtual machines (divided", "how many are free"),
        ({"name": "NVIDIA H200X-1-18C"}, "a slice of a card (NVIDIA H200X-1-18C)", "passthrough"),
    ],
)
def test_a_sick_card_is_refused(fields: dict[str, Any], reason: str, hint: str) -> None:
    sick = with_a_gpu(**fields)
    (refusal,) = hardware_health.refusals(sick, sick.gpus)
    assert not [*hardware_health.refusals(sick, sick.gpus[3:])]
    assert "0000:4c:00.0" in refusal.reason
    assert reason in refusal.reason
    assert hint in refusal.hint


@pytest.mark.parametrize(
    ("fields", "slice_of_one"),
    [
        *(({"name": f"NVIDIA {name}"}, True) for name in ("L40S-24C", "A30-4-24C", "A40-48Q")),
        *(({"name": name}, True) for name in ("GRID A100D-1-10C", "NVIDIA H100L-1-12CME")),
        *(({"name": f"NVIDIA {name}"}, False) for name in ("A100-SXM4-80GB", "A100-PCIE-40GB")),
        *(({"name": f"NVIDIA {name}"}, False) for name in ("H20-3e", "GH200 480GB", "RTX A6000")),
        # Before a driver says a name: the first, the last and none of the slices of an L40S.
        *(({"pci_id": "10de:26b9", "subsystem": f"10de:{at}"}, True) for at in ("1889", "21fe")),
        ({"pci_id": "10de:26b9", "subsystem": "10de:1851"}, False),
        ({"pci_id": "10de:26b9", "subsystem": "1028:1889"}, False),
        ({"pci_id": "10de:2684", "subsystem": "10de:1889"}, False),
        ({"pci_id": "1002:74a1", "subsystem": "1002:74a1"}, False),
        ({"subsystem": ""}, False),
    ],
)
def test_what_is_a_slice_of_a_card(fields: dict[str, Any], slice_of_one: bool) -> None:
    card = Gpu(**{"address": "0000:01:00.0", "pci_id": "10de:2335", **fields})
    assert hardware_health.is_given_away(card) is slice_of_one


@pytest.mark.parametrize(
    ("machine", "warning"),
    [
        (with_a_gpu(lanes=8), "0000:4c:00.0 uses 8 of 16 PCIe lanes"),
        (replace(H200, xids=("NVRM: Xid 63", "NVRM: Xid 79")), "NVRM: Xid 79 and 1 more"),
        (
            replace(H200, application_xids=("NVRM: Xid 31",)),
            "nothing against the cards: NVRM: Xid 31",
        ),
        (replace(H200, broken_packages=("dkms",)), "left packages half installed: dkms"),
        (replace(H200, driver=Driver(error="no answer for 10 s")), "no answer for 10 s"),
    ],
)
def test_what_is_about_to_go_wrong_is_reported(machine: Machine, warning: str) -> None:
    (said,) = hardware_health.warnings(machine)
    assert warning in said
