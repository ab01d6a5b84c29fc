"""What is said of an image: the bill of materials, the manifest, the signed sums."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom

from deploys.control.image import described
from deploys.planning.image import partitions
from deploys.planning.image.recipe import recipe
from tests.lab import ssh_key

STATUS = """\
Package: bash
Status: install ok installed
Version: 5.2.15-2
Architecture: amd64
Maintainer: x
Description: x

Package: apt
Status: install ok installed
Version: 2.6.1
Architecture: amd64
Maintainer: x
Description: x
"""
PLAN: dict[str, Any] = {
    "system": "debian 12 x86_64",
    "driver": None,
    "software": [{"name": "llama.cpp", "version": "0c1e57098"}],
    "weights": [
        {"model": "tiny", "files": [{"path": "a.gguf", "size": 3, "sha256": "ab" * 32}]},
    ],
}
RECIPE = recipe("rack", "debian 12", 1_764_460_800)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "var/lib/dpkg/info").mkdir(parents=True)
    (folder / "var/lib/dpkg/status").write_text(STATUS)
    engine = folder / "opt/modelrack/engines/vllm/1/lib/python3.12/site-packages"
    (engine / "torch-2.9.0.dist-info").mkdir(parents=True)
    return folder


def test_packages_are_listed_by_name(tree: Path) -> None:
    assert described.packages(tree) == [("apt", "2.6.1", "amd64"), ("bash", "5.2.15-2", "amd64")]


def test_the_bill_of_materials_is_one_and_names_all_that_is_there(tree: Path) -> None:
    bill = described.bill(RECIPE, tree, PLAN)
    read = Bom.from_json(json.loads(bill))  # type: ignore[attr-defined]
    assert read.validate()
    found = {each["bom-ref"]: each for each in json.loads(bill)["components"]}
    assert {*found} == {
        "pkg:deb/debian/apt@2.6.1?arch=amd64&distro=bookworm",
        "pkg:deb/debian/bash@5.2.15-2?arch=amd64&distro=bookworm",
        "pkg:pypi/torch@2.9.0",
        "llama.cpp@0c1e57098",
        "tiny/a.gguf",
    }
    assert found["tiny/a.gguf"]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]


def test_two_bills_of_the_same_tree_are_the_same(tree: Path) -> None:
    assert described.bill(RECIPE, tree, PLAN) == described.bill(RECIPE, tree, PLAN)


def test_the_manifest_says_what_to_write_and_what_it_is() -> None:
    parts = partitions.of_image(RECIPE, 1 << 30, None, "/data/models")
    disks = {"rack": {"raw": {"sha256": "a", "size": 4}, "zst": {"sha256": "b", "size": 2}}}
    told = json.loads(described.manifest(RECIPE, PLAN, "c0ffee", "h800", parts, disks, ["6.1"]))
    assert (told["class"], told["commit"], told["models"]) == ("h800", "c0ffee", ["tiny"])
    assert told["raw"] == {"sha256": "a", "size": 4}
    assert told["zst"] == {"sha256": "b", "size": 2}
    assert told["versions"]["engines"] == {"llama.cpp": "0c1e57098"}
    assert [part["name"] for part in told["partitions"]] == ["esp", "root"]


def test_sums_are_signed_so_that_coreutils_and_openssh_check_them(tmp_path: Path) -> None:
    key, signers = ssh_key.signer(tmp_path, "vendor"), tmp_path / "signers"
    file = tmp_path / "rack.raw.zst"
    file.write_bytes(b"an image")
    described.sign_all(tmp_path, [file], key)

    def ran(*command: str, given: str = "") -> int:
        done = subprocess.run(command, cwd=tmp_path, input=given, text=True, capture_output=True)
        return done.returncode

    verify = ("ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "vendor")
    verify = (*verify, "-n", "modelrack-bundle", "-s", f"{described.SUMS}.sig")
    sums = (tmp_path / described.SUMS).read_text()
    assert ran("sha256sum", "-c", described.SUMS) == 0
    assert ran(*verify, given=sums) == 0
    assert ran(*verify, given=sums.replace("a", "b", 1)) != 0
    file.write_bytes(b"another")
    assert ran("sha256sum", "-c", described.SUMS) != 0
