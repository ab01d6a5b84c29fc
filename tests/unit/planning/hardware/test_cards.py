"""`gpus=4` of a machine with eight takes four, the better ones, and leaves four."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from deploys.control import locks as lock_files
from deploys.planning.hardware import cards
from deploys.planning.hardware.gpus import named
from deploys.planning.inputs.machine import Gpu, GpuLink, Holder, Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.placement.interconnect import cards_of
from deploys.planning.placement.memory import GIB
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import render
from tests.plans.simulated import MACHINES
from tests.unit.planning.driver.driver_examples import driven

LOCKS = lock_files.read(Site().locks)
MODELS = {
    "vllm": "deepseek-r1-distill-qwen-7b",
    "sglang": "deepseek-r1-distill-qwen-7b",
    "llama.cpp": "deepseek-r1-distill-llama-70b-q4_k_m",
    "ollama": "deepseek-r1-distill-llama-70b-q4_k_m",
    "ktransformers": "qwen3-30b-a3b-instruct-2507-fp8",
}
OURS, THEIRS = "vllm@it.service", "user@1000.service"
# A training of somebody else on the first four.
TRAINED: dict[int, dict[str, Any]] = {index: {"used": 20 * GIB} for index in range(4)}


def eight(name: str = "rtx4090", changed: Any = None, **fields: Any) -> Machine:
    """A machine of that class with its driver; `changed`: fields of a card, by its index."""
    there, changed = driven(name), changed or {}
    gpus = tuple(replace(gpu, **changed.get(index, {})) for index, gpu in enumerate(there.gpus))
    return replace(there, **{"gpus": gpus, **fields})


def chosen(machine: Machine, gpu: str = "RTX 4090", count: int = 4) -> list[int]:
    return [number for number, _ in cards.numbered(cards.ours(machine, named(gpu), count), machine)]


def planned(machine: Machine, engine: Any = "vllm", gpus: int = 4, **fields: Any) -> HostPlan:
    service = Service(name="it", engine=engine, model=MODELS[engine], port=8000, **fields)
    profile = HostProfile(gpu="RTX 4090", gpus=gpus, services=(service,))
    return resolve(profile, Site(), machine, LOCKS)


def visible(plan: HostPlan) -> list[int]:
    """What the environment of the service lets it see."""
    files, _ = render.service(plan, plan.services[0])
    lines = [line for file in files for line in file.content.splitlines()]
    (line,) = [line for line in lines if line.startswith("CUDA_VISIBLE_DEVICES=")]
    return sorted(int(index) for index in line.partition("=")[2].split(","))


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        # One NUMA node of two, and the first where nothing tells them apart.
        (eight(), [0, 1, 2, 3]),
        (eight(changed=TRAINED), [4, 5, 6, 7]),
        (eight(changed={1: {"used": GIB}}), [4, 5, 6, 7]),
        # Not enough free ones on one node: free ones of both.
        (eight(changed={1: {"used": GIB}, 6: {"used": GIB}}), [0, 2, 3, 4]),
        # What an idle card shows is nobody's.
        (eight(changed={1: {"used": 4 << 20}}), [0, 1, 2, 3]),
        # Cards that are not well, or given away in slices.
        (eight(changed={0: {"mig": True}, 2: {"uncorrected": 2}}), [4, 5, 6, 7]),
        (eight(changed={3: {"index": None}}), [4, 5, 6, 7]),
        # What an earlier run has taken is ours, in use or not.
        (eight(given=(2, 3, 4, 5)), [2, 3, 4, 5]),
        (eight(changed=TRAINED, given=(2, 3)), [2, 3, 4, 5]),
        (eight(given=(6,)), [4, 5, 6, 7]),
        # But not if it has fallen off since, and another one is free.
        (eight(changed={2: {"index": None}}, given=(2, 3, 4, 5)), [0, 3, 4, 5]),
    ],
)
def test_which_four(machine: Machine, expected: list[int]) -> None:
    assert chosen(machine) == expected


def test_links_come_before_numa_nodes() -> None:
    crossed = [GpuLink(first=a, second=b, kind="NV4") for a, b in combinations((0, 2, 4, 6), 2)]
    assert chosen(eight(links=tuple(crossed))) == [0, 2, 4, 6]
    busy = eight(changed={0: {"used": GIB}}, links=tuple(crossed))
    assert 0 not in chosen(busy)
    # A pair is not split for a card, and four in a row are left for others.
    pairs = tuple(GpuLink(first=a, second=b, kind="NV4") for a, b in ((0, 1), (2, 3), (6, 7)))
    assert chosen(eight(links=pairs), count=2) == [0, 1]
    assert chosen(eight(links=pairs), count=1) == [4]


def test_only_cards_of_the_profiles_kind() -> None:
    """A display card comes first on the bus, before the driver counts them, and after."""
    display = Gpu(address="0000:01:00.0", pci_id="10de:1ff2")
    bare = Machine.from_json(MACHINES["rtx4090"])
    gpus = (display, *(replace(gpu, index=None, used=None) for gpu in bare.gpus))
    assert chosen(replace(bare, gpus=gpus, links=()), count=8) == [1, 2, 3, 4, 5, 6, 7, 8]
    counted = tuple(replace(gpu, index=index) for index, gpu in enumerate(gpus))
    there = replace(driven("rtx4090"), gpus=counted)
    assert chosen(there, count=8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert chosen(there, count=2) == [1, 2]
    assert 0 not in visible(planned(there, gpus=8))


@pytest.mark.parametrize(
    ("pci_id", "fields"),
    [
        ("10de:1d01", {}),  # GT 1030, from before the open module
        ("1002:164e", {}),  # graphics of a Ryzen
        ("10de:2684", {"driver": "vfio-pci"}),
    ],
)
def test_what_the_driver_will_not_count_moves_no_number(
    pci_id: str, fields: dict[str, Any]
) -> None:
    other = Gpu(address="0000:01:00.0", pci_id=pci_id, **fields)
    bare = Machine.from_json(MACHINES["rtx4090"])
    gpus = (other, *(replace(gpu, index=None, used=None) for gpu in bare.gpus))
    there = replace(bare, gpus=gpus, links=())
    assert chosen(there, count=8) == [0, 1, 2, 3, 4, 5, 6, 7]
    # NVIDIA's last driver for Volta still drives what is older.
    old = tuple(replace(gpu, pci_id="10de:1db5") for gpu in gpus[1:])
    first = 1 if pci_id == "10de:1d01" else 0
    assert chosen(replace(there, gpus=(other, *old)), "V100", 1) == [first]


@pytest.mark.parametrize(
    "fields",
    [
        {"driver": "vfio-pci", "index": None},
        {"driver": "xen-pciback", "index": None},
        {"functions": 16},
        {"name": "NVIDIA RTX6000-Ada-24Q"},
        {"mig": True},
        {"broken": "GPU is lost"},
    ],
)
def test_cards_that_are_not_to_be_had_are_not_planned_with(fields: dict[str, Any]) -> None:
    assert chosen(eight(changed={0: fields, 5: fields})) == [1, 2, 3, 4]
    assert not planned(eight(changed={0: fields})).refusals
    assert planned(eight(changed=dict.fromkeys(range(5), fields))).refusals


def test_a_display_card_among_the_accelerators() -> None:
    """As in a DGX Station: four A100, and a display card before the last of them."""
    cards_ = [("01", "20b2"), ("47", "20b2"), ("81", "20b2"), ("c1", "1fb0"), ("c2", "20b2")]
    there = driven("a100")
    numbered = tuple(
        Gpu(address=f"0000:{bus}:00.0", pci_id=f"10de:{pci_id}", index=index, driver="nvidia")
        for index, (bus, pci_id) in enumerate(cards_)
    )
    station = replace(there, gpus=numbered, driver=replace(there.driver, fabric_manager=None))
    assert chosen(station, "A100", 4) == [0, 1, 2, 4]
    # Before a driver, too: it will count both.
    bare = tuple(replace(gpu, index=None, driver="") for gpu in numbered)
    assert chosen(replace(station, gpus=bare), "A100", 4) == [0, 1, 2, 4]
    service = Service(name="it", engine="vllm", model=MODELS["vllm"], port=8000, replicas=4)
    made = resolve(HostProfile(gpu="A100", gpus=4, services=(service,)), Site(), station, LOCKS)
    assert not made.refusals and visible(made) == [0, 1, 2, 4]


@pytest.mark.parametrize("engine", MODELS)
def test_every_engine_sees_ours_alone(engine: str) -> None:
    plan = planned(eight(changed=TRAINED), engine)
    assert not plan.refusals
    assert len(plan.cards) == 4
    assert set(visible(plan)) <= {4, 5, 6, 7}
    assert "The profile uses 4 of 8 GPUs: 4, 5, 6, 7; the others are left alone" in plan.warnings


def test_a_second_run_finds_what_the_first_has_taken() -> None:
    """Our services hold their cards by then, and the training goes on beside them."""
    first = planned(eight(changed=TRAINED))
    taken = {index: {"used": 22 * GIB} for index in first.services[0].placement.cards}
    holders = (Holder(pid=1, name="vllm", unit=OURS), Holder(pid=2, name="python", unit=THEIRS))
    later = eight(changed={**TRAINED, **taken}, holders=holders, given=tuple(taken), served=(OURS,))
    second = planned(later)
    assert not second.refusals
    assert second.deployed() == first.deployed()
    # When the training has ended, ours stay where they are.
    ended = replace(eight(changed=taken), holders=holders[:1], given=tuple(taken), served=(OURS,))
    assert planned(ended).deployed() == first.deployed()


def test_what_others_hold_of_ours_is_counted() -> None:
    full = eight(changed={index: {"used": 20 * GIB} for index in range(8)})
    own = cards_of(full, named("RTX 4090"), 4)
    assert [card.used for card in own] == [20 * GIB] * 4
    assert planned(full).refusals


def test_other_peoples_cards_refuse_nothing() -> None:
    ill = {"mig": True, "uncorrected": 1, "remap_pending": True}
    there = eight(changed={index: ill for index in range(4, 8)})
    assert not planned(there).refusals
    assert any("cut into MIG slices" in warning for warning in planned(there).warnings)
    assert planned(there, gpus=5).refusals


def test_fewer_than_the_profile_says_is_refused() -> None:
    there = eight()
    there = replace(there, gpus=there.gpus[:3])
    assert any("1 of 4 RTX 4090 are missing" in each.reason for each in planned(there).refusals)
    silent = eight(changed={index: {"index": None} for index in range(5)})
    assert any("does not see 5 of 8" in each.reason for each in planned(silent).refusals)
