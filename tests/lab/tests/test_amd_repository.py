"""apt itself reads AMD's repositories as we name them, and takes the release that was planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploys.control import locks
from deploys.planning.driver.plan import DriverPlan
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import render
from tests.lab.amd_repository import armoured, publish
from tests.lab.debian_package import Package, throw_away_key
from tests.lab.process import LabError, run
from tests.plans.simulated import MACHINES

RIGHT = "1:6.16.13.30300300-2327507.22.04"
FIRMWARE = "30.30.3.0.30300300-2327507.22.04"
# What the vendor published, another release beside it, and what a distribution has of the tools.
PUBLISHED = (
    Package(
        name="amdgpu-dkms",
        version=RIGHT,
        architecture="all",
        fields={"Depends": "amdgpu-dkms-firmware"},
    ),
    Package(name="amdgpu-dkms", version="1:6.18.0.31300000-1.22.04", architecture="all"),
    Package(name="amdgpu-dkms-firmware", version=FIRMWARE, architecture="all"),
    Package(name="rocminfo", version="1.0.0.70203-90~22.04"),
)
DISTRIBUTION = (Package(name="rocminfo", version="6.1.2-1"),)

Apt = Callable[..., str]


@pytest.fixture(scope="module")
def made() -> tuple[HostPlan, DriverPlan]:
    machine, site = Machine.from_json(MACHINES["mi300x"]), Site()
    plan = resolve(HostProfile(gpu="MI300X", gpus=8), site, machine, locks.read(site.locks))
    assert plan.driver is not None
    return plan, plan.driver


@pytest.fixture
def apt(tmp_path: Path, made: tuple[HostPlan, DriverPlan]) -> Apt:
    """apt of this computer, that knows these repositories alone and has nothing installed."""
    plan, driver = made
    assert driver.repository is not None
    signed, other = tmp_path / "signed", tmp_path / "other"
    key = _published(signed, PUBLISHED, "repo.radeon.com", tmp_path)
    _published(other, DISTRIBUTION, "Debian", tmp_path)
    source = replace(driver.repository, url=f"file://{signed}")
    listed, preferred = render.repository(plan, source)
    lists, preferences = tmp_path / "lists.d", tmp_path / "preferences.d"
    lists.mkdir(), preferences.mkdir()
    # The name that the machine has for it ends alike, which is what apt goes by.
    armoured = tmp_path / Path(render.keyring(source)).name
    armoured.write_text(key)
    text = listed.content.replace(render.keyring(source), str(armoured))
    (lists / Path(listed.path).name).write_text(text)
    (lists / "distribution.list").write_text(f"deb [trusted=yes] file://{other} jammy main\n")
    (preferences / Path(preferred.path).name).write_text(preferred.content)
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "status").touch()
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": lists,
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": preferences,
        "Dir::State": tmp_path / "state",
        "Dir::State::status": tmp_path / "status",
        "Dir::Cache": tmp_path / "cache",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
    }
    words = [f"-o{name}={value}" for name, value in options.items()]
    return lambda *command: run([command[0], *words, *command[1:]])


def test_apt_takes_the_planned_release_and_amds_own_tools(
    apt: Apt, made: tuple[HostPlan, DriverPlan]
) -> None:
    apt("apt-get", "update")
    said = apt("apt-get", "-s", "install", *made[1].group("driver"), "rocminfo")
    assert f"Inst amdgpu-dkms ({RIGHT} " in said
    assert f"Inst amdgpu-dkms-firmware ({FIRMWARE} " in said
    # The distribution's has the higher version, and AMD's the preference.
    assert "Inst rocminfo (1.0.0.70203-90~22.04 " in said


def test_apt_takes_nothing_that_another_key_has_signed(apt: Apt, tmp_path: Path) -> None:
    (key,) = tmp_path.glob("*.asc")
    key.write_text(_published(tmp_path / "third", DISTRIBUTION, "Debian", tmp_path))
    with pytest.raises(LabError, match=r"NO_PUBKEY|not signed"):
        apt("apt-get", "--error-on=any", "update")


def _published(place: Path, packages: tuple[Package, ...], origin: str, shared: Path) -> str:
    with throw_away_key(origin) as key:
        publish(place, packages, origin, shared / "shared", key)
        return armoured(key)
