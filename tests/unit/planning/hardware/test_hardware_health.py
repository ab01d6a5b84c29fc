"""What hardware says of itself: refused, warned of, or fine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.hardware import hardware_health
from deploys.planning.inputs.machine import Driver, Machine
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
