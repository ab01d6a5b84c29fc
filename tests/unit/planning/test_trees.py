"""The tree of an image: a golden unit stands for its hardware, its record tells no address."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from deploys.control import locks as lock_files
from deploys.planning.inputs.golden_unit import as_unit, hardware_of
from deploys.planning.inputs.machine import Driver, Holder, Kernel, Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Mirrors, Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import render
from tests.unit.planning.driver.driver_examples import driven

SITE = Site()
LOCKS = lock_files.read(SITE.locks)
GOLDEN = hardware_of(driven("h800"))
KERNEL = Kernel(release="6.1.0-47-amd64", headers=True)
# A small computer builds it, with a card, a driver and people of its own.
TREE = replace(
    driven("rtx4090"),
    hostname="builder-7",
    os="debian",
    os_version="12",
    cpu="builder's processor",
    isa="x86-64-v3",
    cores=2,
    memory=8 << 30,
    kernel="6.18.0-builder",
    kernels=(replace(KERNEL, release="6.1.0-9-amd64"), KERNEL),
    driver=Driver(loaded="535.261.03", flavour="open", packages={}, error="builder's"),
    holders=(Holder(pid=1, name="game", unit=""),),
    nouveau=True,
    xids=("NVRM: Xid 79",),
    addresses=("10.77.0.9",),
    operator="10.77.0.1",
    ports={8000: "builder"},
    systemd=False,
    booted=False,
)


def planned(tree: Machine = TREE, site: Site = SITE, **profile: Any) -> HostPlan:
    service = Service(name="r1", engine="vllm", model="deepseek-r1-distill-qwen-7b", port=8000)
    wanted = HostProfile(**{"gpu": "H800", "gpus": 8, "services": (service,), **profile})
    return resolve(wanted, site, as_unit(tree, GOLDEN), LOCKS)


def test_the_unit_stands_for_the_hardware_and_the_tree_for_the_system() -> None:
    unit = as_unit(TREE, json.loads(json.dumps(GOLDEN)))
    assert [gpu.pci_id for gpu in unit.gpus] == ["10de:2324"] * 8
    assert (unit.cpu, unit.cores, unit.memory) == tuple(
        GOLDEN[each] for each in ("cpu", "cores", "memory")
    )
    assert (unit.os, unit.os_version, unit.kernel) == ("debian", "12", KERNEL.release)
    assert unit.disks == TREE.disks


def test_nothing_of_the_builder_is_left() -> None:
    unit = as_unit(TREE, GOLDEN)
    told = json.dumps(unit.to_json())
    assert not [word for word in ("builder", "10.77", "535.261", "game", "Xid") if word in told]
    assert not unit.nouveau


def test_nothing_of_the_one_unit_is_written() -> None:
    one = driven("h800")
    cards = tuple(replace(gpu, uuid="GPU-4711", used=1 << 30) for gpu in one.gpus)
    told = json.dumps(hardware_of(replace(one, gpus=cards, hostname="unit-4711")))
    assert "4711" not in told and "used" not in told


@pytest.mark.parametrize(
    ("tree", "golden", "said"),
    [
        (replace(TREE, architecture="aarch64"), GOLDEN, "The tree is aarch64"),
        (replace(TREE, kernels=()), GOLDEN, "no kernel in this tree"),
        (TREE, {}, "cannot be read: KeyError('architecture')"),
        (TREE, {**GOLDEN, "gpus": [{"address": 1, "colour": "red"}]}, "cannot be read: TypeError"),
    ],
)
def test_a_tree_that_cannot_become_the_unit_is_refused(
    tree: Machine, golden: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refusal, match=said.replace("(", r"\(").replace(")", r"\)")):
        as_unit(tree, golden)


def test_a_tree_gets_the_driver_for_the_kernel_that_it_boots() -> None:
    made = planned()
    assert not made.refusals
    assert made.driver is not None
    assert (made.driver.action, made.driver.kernels) == ("install", (KERNEL.release,))
    assert not made.driver.reboot


def test_its_record_tells_neither_the_builder_nor_the_sites_addresses() -> None:
    every = {each.name: f"https://{each.name}.inner.example" for each in fields(Mirrors)}
    site = Site(
        mirrors=Mirrors(**every),
        peers="10.8.0.0/16",
        machines="10.9.0.0/16",
        ssh_from=("10.7.0.0/16",),
    )
    made = planned(site=site)
    record = render.state(made).content
    assert made.is_tree
    assert "inner.example" not in record and "/16" not in record
    assert "builder" not in record
    # A machine that runs is asked what it was deployed with.
    running = replace(made, systemd=True)
    assert "inner.example" in render.state(running).content
