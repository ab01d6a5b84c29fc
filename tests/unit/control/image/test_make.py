"""What no image is made of: refused before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploys.control.bundle import record
from deploys.control.image import make
from deploys.planning.bundle.record import BundleRecord
from deploys.planning.image.recipe import of_bundle, recipe
from deploys.planning.inputs.refusal import Refusal

RECIPE = recipe("rack", "debian 12", 0, packages=("nvme-cli",))
KEY = '[[key]]\nuser = "alice"\nteam = "research"\nsha256 = "{}"\n'


def gateway(folder: Path, keys: str = "", **more: Any) -> dict[str, Any]:
    (folder / "keys.toml").write_text(keys)
    return {"keys": str(folder / "keys.toml"), "chat": None, "certificate": None, **more}


@pytest.mark.parametrize(
    "more, said",
    [
        ({"chat": {"admin": "admin@ai.lab"}}, "chat page has accounts .* Take chat out"),
        ({"certificate": {"email": None}}, "asks for one by ACME.* Take certificate out"),
        ({"keys": KEY.format("a" * 64)}, "same keys.* Name a keys file without keys"),
    ],
)
def test_a_gateway_that_units_would_share_is_refused(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(Refusal, match=said):
        make._check_gateway(gateway(tmp_path, **more))


def test_a_gateway_that_each_unit_makes_its_own_is_not(tmp_path: Path) -> None:
    make._check_gateway(gateway(tmp_path))
    make._check_gateway(None)


def test_a_bundle_has_to_have_the_base_tree(tmp_path: Path) -> None:
    site = {"mirrors": {"disk": None}, "bundle": str(tmp_path)}
    with pytest.raises(Refusal, match=r"no packages for debian 12 amd64.*--data image=yes"):
        make._check_bundle(site, RECIPE)
    base = of_bundle("debian 12", "yes", driver=True)
    record.write(tmp_path, BundleRecord(packages={RECIPE.system: base}))
    with pytest.raises(Refusal, match=r"The bundle lacks nvme-cli for debian 12 amd64"):
        make._check_bundle(site, RECIPE)
    record.write(tmp_path, BundleRecord(packages={RECIPE.system: (*base, "nvme-cli")}))
    make._check_bundle(site, RECIPE)


def test_a_bundle_that_is_a_folder_of_each_machine_is_served_first() -> None:
    with pytest.raises(Refusal, match=r"takes all from /mnt/bundle of each machine.*http\.server"):
        make._check_bundle({"mirrors": {"disk": "/mnt/bundle"}, "bundle": None}, RECIPE)
