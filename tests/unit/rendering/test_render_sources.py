"""Files that say where packages come from: mirrors of a site, the repository of the driver."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.driver.plan import DriverPlan
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import BUNDLE, CN, GLOBAL, Mirrors, Site
from deploys.rendering import render
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import MACHINE, plan
from tests.unit.rendering.render_examples import DRIVER, KEYS, PLANS, driver_files, files


def test_a_site_without_mirrors_leaves_apt_at_its_own_sources() -> None:
    assert "/etc/modelrack/apt.sources" not in files(PLANS["cpu"])


@pytest.mark.parametrize(
    ("system", "mirrors"),
    [
        (("debian", "12"), replace(CN, debian=None, debian_security=None)),
        (("ubuntu", "24.04"), replace(CN, ubuntu=None)),
    ],
    ids=["debian", "ubuntu"],
)
def test_mirrors_of_the_other_distribution_leave_apt_at_its_own_sources(
    system: tuple[str, str], mirrors: Mirrors
) -> None:
    os_, release = system
    there = replace(MACHINE, os=os_, os_version=release)
    made = plan(machine=there, site=Site(mirrors=mirrors))
    assert "/etc/modelrack/apt.sources" not in files(made)


def test_apt_waits_as_long_as_the_site_says() -> None:
    made = plan(site=Site(apt_lock_wait=42))
    assert 'DPkg::Lock::Timeout "42";' in files(made)["/etc/apt/apt.conf.d/60modelrack"].content


@pytest.mark.parametrize("system", [("debian", "14"), ("ubuntu", "25.10"), ("ubuntu", "26.04")])
def test_a_newer_system_is_planned_and_rendered_with_its_own_sources(
    system: tuple[str, str],
) -> None:
    os_, release = system
    made = plan(machine=replace(MACHINE, os=os_, os_version=release))
    assert "/etc/modelrack/apt.sources" not in files(made)


def test_the_driver_comes_from_a_repository_whose_key_is_named() -> None:
    url = GLOBAL.cuda
    assert driver_files(DRIVER) == {
        "/etc/apt/sources.list.d/cuda-ubuntu2204.list": "# Written by modelrack.\n"
        "deb [signed-by=/etc/apt/keyrings/cuda-ubuntu2204-d9d9d9d9d9d9.gpg]"
        f" {url}/ubuntu2204/x86_64 /\n",
        "/etc/apt/preferences.d/cuda-ubuntu2204": "# Written by modelrack. Above 500 this"
        " repository wins over the distribution's own packages.\n"
        "Package: *\nPin: release l=NVIDIA CUDA\nPin-Priority: 600\n",
        "/etc/modules-load.d/modelrack-gpu.conf": "# Written by modelrack. With the modules come"
        " the device nodes, before any service wants them.\nnvidia\nnvidia_uvm\n",
        "/etc/apt/apt.conf.d/60modelrack-gpu": "// Written by modelrack. A driver that is upgraded"
        " under a running model server stops it.\nUnattended-Upgrade::Package-Blacklist {\n"
        + "".join(f'    "{pattern}";\n' for pattern in _driver().blocklist)
        + "};\n",
        "/etc/modprobe.d/modelrack-gpu.conf": "# Written by modelrack. These would take the GPUs"
        " before the driver does.\nblacklist nouveau\noptions nouveau modeset=0\n"
        + "".join(f"blacklist {module}\n" for module in _driver().blacklist[1:]),
    }


def test_mirrors_of_a_site_are_read_together_with_the_repository() -> None:
    site = Site(mirrors=replace(CN, debian="http://127.0.0.1/debian"))
    machine = Machine.from_json({**MACHINES["h800"], "os": "debian", "os_version": "12"})
    files = driver_files(
        plan(HostProfile(gpu="H800", gpus=8), machine=machine, site=site, pins=KEYS)
    )
    text = files["/etc/modelrack/apt.sources.d/cuda-debian12.list"]
    assert f" {CN.cuda}/debian12/x86_64 /\n" in text
    assert text.endswith("deb http://127.0.0.1/debian bookworm contrib\n")


def test_what_is_not_wanted_is_no_file() -> None:
    assert render.driver(replace(_driver(), modules=(), blocklist=())) == ()


def test_the_state_is_what_is_there_not_how_it_came_there() -> None:
    done = replace(_driver(), action="none", groups=(), repository=None, reason="")
    assert render.state(DRIVER) == render.state(replace(DRIVER, driver=done, warnings=("x",)))


def _driver() -> DriverPlan:
    assert DRIVER.driver is not None
    return DRIVER.driver


@pytest.mark.parametrize("place", ["http://10.0.0.5", "/mnt/bundle"])
def test_what_a_bundle_has_counts_when_its_days_are_over(place: str) -> None:
    made = plan(
        machine=replace(MACHINE, os="debian", os_version="12"), site=Site(mirrors=BUNDLE(place))
    )
    sources = files(made)["/etc/modelrack/apt.sources"].content
    assert sources.count("Check-Valid-Until: no") == sources.count("Types: deb") == 2
    # A folder without translations is an error to apt, where a server without them is none.
    assert sources.count("Languages: none") == 2
    elsewhere = plan(machine=replace(MACHINE, os="debian", os_version="12"), site=Site(mirrors=CN))
    assert "Valid" not in files(elsewhere)["/etc/modelrack/apt.sources"].content
