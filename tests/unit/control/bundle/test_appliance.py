"""What a machine updates itself with: the packages of one Python, and its inventory as a file."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from deploys.control.bundle import appliance
from deploys.planning.inputs.gateway import Acme, Gateway
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import BUNDLE, Site
from tests.unit import ROOT
from tests.unit.planning.plan_examples import plan

LOCK = (ROOT / "deploys/locks/operator.txt").read_text()


@pytest.mark.parametrize(("python", "numpy"), [("3.10", "4.1.0"), ("3.13", "4.2.11")])
def test_its_packages_are_those_of_the_lock_that_a_deploy_needs(python: str, numpy: str) -> None:
    text = appliance.requirements(LOCK, python)
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    assert {"pyinfra", "gevent", "uv", "pyyaml", "jinja2", "packaging", "cryptography"} <= {*pins}
    assert not {"pytest", "ruff", "mypy", "colorama"} & {*pins}
    assert pins["filelock"] == numpy
    hashes = re.findall(r"sha256:[0-9a-f]{64}", text)
    assert len(hashes) > len(pins) and all(each in LOCK for each in hashes)


def test_its_inventory_is_that_of_who_made_the_bundle(tmp_path: Path) -> None:
    signers = tmp_path / "who"
    signers.write_text("vendor ssh-ed25519 AAAA\n")
    keys = tmp_path / "nobody.toml"
    keys.write_text("# Each makes its own.\n")
    model = "deepseek-r1-distill-qwen-7b-q4_k_m"
    profile = HostProfile(
        services=(
            Service(
                name="small", engine="llama.cpp", model=model, port=8080, options={"mlock": True}
            ),
        ),
        gateway=Gateway(host="box.lab", keys=keys),
    )
    site = Site(signers=signers, data_root="/srv", tokens={"modelscope": Path("/home/token")})
    made = replace(plan(), profile=profile, site=site, software=())
    files = dict(appliance._files("box", made))
    assert files["signers"] == signers.read_bytes()
    assert b"@local" in files["inventories/box.py"]
    assert {"config.py", "deploys/full.py", "templates/base/apt.sources.j2"} <= {*files}
    assert not any("__pycache__" in name for name in files)
    for name in ("signers", "keys.toml", "inventories/group_data/box.py"):
        path = tmp_path / "there" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    there = tmp_path / "there"
    (there / "place").write_text("/mnt/bundle\n")
    data = runpy.run_path(str(there / "inventories/group_data/box.py"))
    assert data["profile"] == replace(
        profile, gateway=Gateway(host="box.lab", keys=there / "keys.toml")
    )
    assert (there / "keys.toml").read_text() == keys.read_text()
    assert data["site"] == Site(
        mirrors=BUNDLE("/mnt/bundle"),
        data_root="/srv",
        locks=there / "locks",
        builds=there / "builds",
        signers=there / "signers",
    )


def test_what_is_no_data_is_refused() -> None:
    with pytest.raises(Refusal, match="cannot be told"):
        appliance._text(object())


def test_a_certificate_with_a_key_goes_to_no_appliance(tmp_path: Path) -> None:
    keys = tmp_path / "nobody.toml"
    keys.touch()
    gateway = Gateway(host="box.lab", keys=keys, certificate=Acme())
    made = replace(plan(), profile=HostProfile(gateway=gateway), software=())
    with pytest.raises(Refusal, match="makes its certificate by itself"):
        appliance._data("box", made)
