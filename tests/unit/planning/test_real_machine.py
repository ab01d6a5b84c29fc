"""The plan of a machine that is not simulated: an H200 described itself, as recorded."""

from __future__ import annotations

import json

from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.rendering import page
from tests.unit import UNIT
from tests.unit.planning.plan_examples import attempt

RECORDED = UNIT / "data" / "recorded" / "h200-machine.json"
H200 = Machine.from_json(json.loads(RECORDED.read_text())["machine"])
R1_70B = Service(name="r1-70b", engine="vllm", model="deepseek-r1-distill-llama-70b-fp8", port=8000)


def test_its_driver_is_left_alone() -> None:
    made = attempt(HostProfile(gpu="H200", gpus=1), machine=H200)
    assert made.refusals == ()
    assert made.driver is not None
    assert (made.driver.action, made.driver.version) == ("none", "580.159.04")
    assert not made.driver.reboot and not made.driver.groups and not made.driver.fabric_manager


def test_its_one_card_holds_a_model_of_70b() -> None:
    made = attempt(HostProfile(gpu="H200", gpus=1, services=(R1_70B,)), machine=H200)
    (service,) = made.services
    assert service.placement.groups == ((0,),)
    (card,) = service.placement.ledger.cards
    assert card.total == H200.gpus[0].memory
    assert card.free >= 0


def test_a_second_card_that_is_not_there_is_missed() -> None:
    made = attempt(HostProfile(gpu="H200", gpus=2), machine=H200)
    assert any("1 of 2" in refusal.reason for refusal in made.refusals), made.refusals


def test_its_page_says_what_it_is() -> None:
    text = page.of("gpuhost", H200, attempt(HostProfile(gpu="H200", gpus=1), machine=H200))
    assert "1 x H200 (10de:2335), 140.4 GiB each" in text
    assert "580.159.04 is loaded (open module); stays as it is" in text
