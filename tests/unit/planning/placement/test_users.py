"""How many users a service carries: as measured where it was, and never more than are admitted."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.control import locks as lock_files
from deploys.planning.hardware.gpus import ACCELERATORS, named
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import Service
from deploys.planning.inputs.site import Site
from deploys.planning.models.catalogue import model
from deploys.planning.placement.allocate import place
from deploys.planning.placement.choice import Placement
from deploys.planning.placement.memory import GIB, Card
from deploys.planning.placement.users import LENGTH, RATES, users
from deploys.planning.resolve import resolve
from deploys.rendering import page
from tests.plans.simulated import MACHINES
from tests.plans.update import profile_of
from tests.unit.planning.machines import machine
from tests.unit.planning.plan_examples import distinct, plan

HOST = machine(memory=4096 * GIB)


def carried(key: str, gpu: str, count: int, **settings: Any) -> tuple[Any, Placement]:
    entry, accelerator = model(key), named(gpu)
    given = {"engine": "vllm", "context": 8192, **settings}
    service = Service(name="it", model=entry, port=8000, **given)
    cards = [Card(index=index, total=accelerator.memory) for index in range(count)]
    placement = place(service, entry, entry.size, accelerator, cards, HOST)
    return users(entry, entry.size, placement, accelerator), placement


def test_what_was_measured_of_many_is_expected_of_about_as_many() -> None:
    """64 at once got 56 tokens a second each on an H200, and 256 got 30 (tests/gpu/results)."""
    found, placement = carried("deepseek-r1-distill-qwen-32b-awq", "H200", 1)
    # Here with 2048 tokens in the cache instead of some 200, and so fewer at 25.
    assert 64 < found[25] < 200 < found[10] <= placement.parallel


def test_more_cards_carry_more_and_a_higher_rate_fewer() -> None:
    one, _ = carried("deepseek-r1-distill-llama-70b-fp8", "L40S", 4)
    two, _ = carried("deepseek-r1-distill-llama-70b-fp8", "L40S", 8)
    assert two[10] > 1.5 * one[10] > 0 and one[25] <= one[10]
    # Pairs in a pipeline read 35 GiB one after the other, which nobody gets 25 tokens a second of.
    assert one[25] == 0


@pytest.mark.parametrize("gpu", ["H200", "H20", "RTX 4090", "A100 PCIe", "RTX 3090"])
def test_no_more_than_are_admitted_and_the_cache_holds(gpu: str) -> None:
    for entry in distinct():
        if entry.format != "safetensors":
            continue
        found, placement = carried(entry.key, gpu, 8, context=2048)
        if placement.refusals:
            assert found is None
            continue
        room = min(placement.parallel, placement.ledger.kv_tokens // LENGTH)
        assert tuple(found) == RATES
        assert 0 <= found[25] <= found[10] <= room


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert carried("deepseek-r1-distill-qwen-7b", "K100-AI", 1)[0] is None
    assert "K100-AI" in ACCELERATORS
    assert plan().services[0].users is None


def test_the_page_says_it() -> None:
    there = Machine.from_json(MACHINES["h800"])
    made = resolve(profile_of("h800"), Site(), there, lock_files.read(Site().locks))
    (service,) = made.services
    assert service.users and service.users[10] > service.users[25] > 0
    said = f": {service.users[10]} with 10 tokens per second each, or {service.users[25]} with 25"
    assert said in page.of("h800-01", there, made)
