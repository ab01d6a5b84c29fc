"""Cards that are seldom: described in an inventory, unknown, or with the host's memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploys.control import locks as lock_files
from deploys.planning.hardware.gpus import Accelerator, named
from deploys.planning.inputs.machine import Gpu, Holder, Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.placement.interconnect import cards_of
from deploys.planning.placement.memory import GIB
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import page, render
from tests.plans.simulated import MACHINES
from tests.unit.planning.driver.driver_examples import driven, plan
from tests.unit.planning.hardware.card_examples import OWN

LOCKS = lock_files.read(Site().locks)
# DGX Spark, whose card is in a PCI domain of its own.
SPARK = replace(
    Machine.from_json(MACHINES["rtx5090"]),
    architecture="aarch64",
    memory=120 * GIB,
    memory_available=115 * GIB,
    gpus=(Gpu(address="000f:01:00.0", pci_id="10de:2e12"),),
)


def two(pci_id: str) -> Machine:
    """A machine with two cards of that id."""
    there = Machine.from_json(MACHINES["rtx5090"])
    return replace(there, gpus=tuple(replace(gpu, pci_id=pci_id) for gpu in there.gpus[:2]))


def planned(machine: Machine, gpu: str | Accelerator, **fields: Any) -> HostPlan:
    wanted = {"name": "it", "engine": "vllm", "model": "deepseek-r1-distill-qwen-32b-awq"}
    service = Service(**{**wanted, "port": 8000, **fields})
    profile = HostProfile(gpu=gpu, gpus=len(machine.gpus), services=(service,))
    return resolve(profile, Site(), machine, LOCKS)


def test_a_card_that_an_inventory_describes_is_planned_with() -> None:
    made = planned(two("10de:2bb9"), OWN)
    assert not made.refusals and made.driver is not None
    assert made.driver.flavour == "open"
    assert [card.total for card in made.services[0].placement.ledger.cards] == [84 * GIB] * 2
    assert not any("unknown" in warning for warning in made.warnings)
    assert "2 x RTX 6000D (10de:2bb9), 84.0 GiB each" in page.of("it", two("10de:2bb9"), made)
    assert render.service(made, made.services[0])


def test_a_card_that_nobody_describes_is_unknown_and_not_missing() -> None:
    made = planned(two("10de:2bb9"), "RTX 5090")
    reasons = [refusal.reason for refusal in made.refusals]
    assert any("there is 2 x 10de:2bb9 (unknown) on the PCI bus" in each for each in reasons)
    assert not any("missing" in each for each in reasons)
    assert "2 x 10de:2bb9, which is unknown" in page.of("it", two("10de:2bb9"), made)
    assert any("10de:2bb9 is unknown" in warning for warning in made.warnings)


def test_a_5090_d_is_one_of_its_own() -> None:
    made = planned(two("10de:2b87"), "RTX 5090 D")
    assert not made.refusals
    wrong = planned(two("10de:2b87"), "RTX 5090")
    assert any("there is 2 x RTX 5090 D on the PCI bus" in each.reason for each in wrong.refusals)


def test_memory_that_card_and_host_share_is_planned_once() -> None:
    weights = {"engine": "llama.cpp", "model": "deepseek-r1-distill-llama-70b-q4_k_m"}
    made = planned(SPARK, "GB10", **weights)
    assert not made.refusals
    ledger = made.services[0].placement.ledger
    assert ledger.cards[0].total == SPARK.memory and ledger.cards[0].free >= 0
    # The host's part of it is in what the card cannot have.
    assert (
        sum(ledger.host.values()) < ledger.cards[0].lines["other processes"] <= 0.1 * SPARK.memory
    )
    assert "1 x GB10 (10de:2e12), the host's memory" in page.of("it", SPARK, made)


def test_what_others_have_of_it_is_not_the_cards() -> None:
    gpu = named("GB10")
    busy = replace(SPARK, memory_available=50 * GIB)
    assert [card.used for card in cards_of(busy, gpu, 1)] == [70 * GIB]
    # Unless it is our own service that has taken it.
    ours = replace(busy, holders=(Holder(pid=1, name="vllm", unit="vllm@it.service"),))
    assert [card.used for card in cards_of(ours, gpu, 1, ["vllm@it.service"])] == [12 * GIB]


def test_less_memory_than_the_board_has_is_said() -> None:
    there = driven("rtx4090")
    gpus = tuple(replace(gpu, memory=24564 << 20) for gpu in there.gpus)
    made = plan(replace(there, gpus=gpus), gpu="RTX 4090-48")
    assert any(
        "has 24.0 GiB of memory, less than a RTX 4090-48 has" in each for each in made.warnings
    )
    assert not plan(replace(there, gpus=gpus)).warnings
