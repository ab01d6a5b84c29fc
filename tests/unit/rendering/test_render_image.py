"""What an image has beside what was deployed to its tree."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploys.planning import unit_names
from deploys.planning.image.recipe import recipe
from deploys.rendering.appliance import image
from tests.unit.rendering.render_examples import unit

PLAN: dict[str, Any] = {
    "site": {"data_root": "/data"},
    "services": [
        {
            "name": "r1",
            "engine": "llama.cpp",
            "unit": "llama-server@r1.service",
            "task": "generate",
            "port": 8080,
        }
    ],
    "gateway": None,
}
RECIPE = recipe("rack", "debian 12", 0)


def rendered(weights: str = "root", **plan: Any) -> dict[str, str]:
    made = recipe("rack", "debian 12", 0, weights=weights)
    found = image.files(made, {**PLAN, **plan}, "c0ffee", ["6.2", "6.1"])
    return {each.path: each.content for each in found}


def test_the_newest_kernel_is_booted_from_the_root_wherever_it_is() -> None:
    settings = rendered()["/boot/grub/grub.cfg"]
    assert settings.index("vmlinuz-6.2") < settings.index("vmlinuz-6.1")
    root = f"PARTUUID={RECIPE.identifier('root')}"
    assert settings.count(f"root={root} ro") == 2
    assert f"{root} / ext4" in rendered()["/etc/fstab"]


def test_weights_of_their_own_are_mounted_and_a_unit_without_them_starts() -> None:
    assert "/data/models" not in rendered()["/etc/fstab"]
    for place in ("partition", "disk"):
        assert "/data/models ext4 nofail" in rendered(place)["/etc/fstab"]


def test_a_unit_knows_what_to_ask() -> None:
    told = json.loads(rendered()["/etc/modelrack/unit.json"])
    (service,) = told["services"]
    assert (service["served"], service["url"]) == ("r1", "http://127.0.0.1:8080")
    assert told["gateway"] is None
    door = json.loads(rendered(gateway={"host": "models.lab"})["/etc/modelrack/unit.json"])
    assert door["gateway"]["host"] == "models.lab"


def test_identities_are_made_before_they_are_used() -> None:
    path = unit_names.file(unit_names.IDENTITY)
    text = unit(rendered()[path])["Unit"]
    assert {"sysinit.target", "ssh.service"} <= {*text["Before"][0].split()}
    # That comes after first-boot-complete.target, which this comes before.
    assert "systemd-machine-id-commit.service" not in text["After"][0]


@pytest.mark.parametrize("name", [unit_names.IDENTITY, unit_names.SELF_TEST])
def test_systemd_accepts_the_units(tmp_path: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    file = tmp_path / name
    file.write_text(rendered()[unit_names.file(name)])
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if name in line]
    assert not [line for line in said if "Unknown" in line or "nvalid" in line], done.stderr
