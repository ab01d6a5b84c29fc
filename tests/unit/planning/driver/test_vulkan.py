"""Cards that Vulkan reaches: the driver that is there stays, and all that is compiled for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploys.operations.services.unit import Unit
from deploys.planning.engines.software import Build
from deploys.planning.inputs.machine import Driver, Gpu, Machine
from deploys.planning.plan import HostPlan
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import attempt, plan, profile, service

HERE = Machine.from_json(MACHINES["w7900"])
TWO = profile(service(model="deepseek-r1-distill-llama-70b-q4_k_m"), gpu="Radeon PRO W7900", gpus=2)


def made(**fields: Any) -> HostPlan:
    return plan(TWO, machine=replace(HERE, **fields))


def refused(**fields: Any) -> str:
    return " ".join(map(str, attempt(TWO, machine=replace(HERE, **fields)).refusals))


def compiled(of: HostPlan) -> Build:
    software = of.software_of("llama.cpp")
    assert isinstance(software, Build)
    return software


def bound(*drivers: str) -> tuple[Gpu, ...]:
    return tuple(replace(gpu, driver=of) for gpu, of in zip(HERE.gpus, drivers, strict=True))


def test_the_kernels_own_driver_stays_and_nothing_of_amds_is_installed() -> None:
    driver = made().driver
    assert driver and (driver.action, driver.groups, driver.repository) == ("none", (), None)
    assert driver.device_groups == ("render", "video")
    assert {"libvulkan1", "mesa-vulkan-drivers"} <= {*made().packages}
    # What a kernel signs itself loads with Secure Boot, too.
    assert made(secure_boot=True).driver == driver


def test_amds_own_driver_stays_as_well() -> None:
    driver = made(driver=Driver(loaded="6.16.13", kfd=True)).driver
    assert driver and (driver.action, driver.version) == ("none", "6.16.13")


def test_a_card_without_a_driver_is_named_with_what_would_bring_one() -> None:
    said = refused(gpus=bound("amdgpu", ""))
    assert "drives 1 of 2 Radeon PRO W7900, and not 0000:23:00.0" in said
    assert "firmware-amd-graphics" in said
    ubuntu = refused(gpus=bound("", ""), os="ubuntu", os_version="24.04")
    assert "linux-modules-extra" in ubuntu and "Install Debian 13" in ubuntu


def test_it_is_compiled_for_vulkan_and_for_no_card_alone() -> None:
    build, alone = compiled(made()), compiled(plan(machine=replace(HERE, gpus=())))
    assert {*build.options} - {*alone.options} == {"GGML_VULKAN=ON"}
    assert {"glslc", "libvulkan-dev", "spirv-headers"} <= {*build.packages}
    assert build.digest != alone.digest
    # What is loaded at run time makes no other build.
    assert replace(build, needs=()).digest == build.digest


def test_its_start_is_compared_with_the_cards_and_layers_of_the_plan() -> None:
    there = made()
    unit = Unit.of(there, there.services[0])
    assert (unit.cards, unit.layers) == (("0000:03:00.0", "0000:23:00.0"), 81)
    back = Unit.noted({**unit.to_note(), "cards": [*unit.cards]})
    assert back.cards == unit.cards


def test_the_ledger_says_what_vulkan_takes_beside() -> None:
    (card, _) = made().services[0].placement.ledger.cards
    assert card.lines["Vulkan context"] > 256 << 20 and "CUDA context" not in card.lines
    eight = profile(replace(TWO.services[0], kv_cache="q8_0"), gpu="Radeon PRO W7900", gpus=2)
    (more, _) = plan(eight, machine=HERE).services[0].placement.ledger.cards
    # Attention reads a layer's cache in 16 bits.
    assert more.lines["Vulkan context"] > card.lines["Vulkan context"]
