"""Machines without systemd: what they get, and what is said of it; images are no such machines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.control import locks as lock_files
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import page
from tests.unit.planning.driver.driver_examples import driven

SITE = Site(peers="10.8.0.0/16")
LOCKS = lock_files.read(SITE.locks)
# A container that somebody rents: its host's driver, no module on its disk, and no service manager.
RENTED = replace(
    driven("rtx4090", packages={}),
    **{"systemd": False, "container": "docker", "kernels": (), "addresses": ("10.8.0.5",)},
)


def planned(machine: Machine) -> HostPlan:
    services = tuple(
        Service(name=name, engine="vllm", model="deepseek-r1-distill-qwen-7b", port=port)
        for name, port in (("one", 8000), ("two", 8001))
    )
    return resolve(HostProfile(gpu="RTX 4090", gpus=8, services=services), SITE, machine, LOCKS)


def test_a_rented_container_gets_all_but_a_driver_and_is_told_how_to_serve() -> None:
    made = planned(RENTED)
    assert not made.refusals and made.foreground and not made.systemd
    assert made.driver is not None and (made.driver.action, made.driver.reboot) == ("none", False)
    assert [each.name for each in made.software if each.name == "vllm"] == ["vllm"]
    said = [each for each in made.warnings if each.startswith("There is no systemd")]
    assert len(said) == 2 and all("in this docker container" in each for each in said)
    assert said[0].endswith("/opt/modelrack/bin/modelrack.pyz serve vllm@one.service")
    assert said[0] in page.of("it", RENTED, made)
    # What shares weights would be a service, too.
    assert made.peer is None and planned(replace(RENTED, systemd=True)).peer is not None


@pytest.mark.parametrize(
    "machine",
    [
        replace(RENTED, booted=False, container=""),  # the tree of an image
        replace(RENTED, systemd=True),
    ],
)
def test_an_image_and_a_container_with_systemd_are_told_nothing(machine: Machine) -> None:
    made = planned(machine)
    assert not made.foreground
    assert not any("no systemd" in each for each in made.warnings)


def test_a_machine_of_its_own_without_systemd_is_none_of_a_container() -> None:
    said = [each for each in planned(replace(RENTED, container="")).warnings if "systemd" in each]
    assert all(each.startswith("There is no systemd: settings") for each in said) and said
