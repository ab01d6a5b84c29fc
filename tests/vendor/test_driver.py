"""A driver plan in a bundle: all that a class with NVIDIA's cards takes, and nothing else is asked.

The archive is Debian's own; NVIDIA's is its stand-in, with packages of the same names.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from deploys.planning.inputs.golden_unit import hardware_of
from tests.e2e.rack import Rack, Run, run
from tests.e2e.vendor import FROM_BUNDLE, SITE, Folder
from tests.lab import chroot, tree
from tests.lab.archive import Archive
from tests.lab.nvidia_repository import NvidiaRepository
from tests.unit.planning.driver import driver_examples

# The archive goes on having the first, and never had the other.
KERNEL, OTHER = "6.1.0-47-amd64", "6.1.0-99-amd64"
CLASS = 'profile = HostProfile(gpu="H800", gpus=8)'
CUDA = "site = replace(site, mirrors=replace(site.mirrors, cuda={url!r}))"


@dataclass
class Place:
    """The tree of an H800's image, what is deployed to it, and a bundle that was made of both."""

    root: Path
    rack: Rack
    golden: Path
    bundle: Path

    def run(self, script: str, *options: str) -> Run:
        """A run with the tree, and the group data of now."""
        inventory = chroot.inventory(Path(self.rack.inventory), self.root)
        words = [sys.executable, "-m", "pyinfra", str(inventory), script, "-y", *options]
        return run([*words, "--data", f"golden_unit={self.golden}"])

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.bundle / "BUNDLE.json").read_text())
        return found


@pytest.fixture(scope="module")
def place(
    lab_nvidia: NvidiaRepository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("driver")
    golden = folder / "unit.json"
    golden.write_text(json.dumps(hardware_of(driver_examples.machine("h800"))))
    nobody: Any = SimpleNamespace(machines=[])
    rack = Rack(nobody, "", "", folder / "site", CLASS)
    lab_nvidia.pin(rack.folder / ".lab/sandbox/locks")
    root = tree.mount(folder / "tree", tree.base())
    made = Place(root, rack, golden, folder / "bundle")
    try:
        add_kernel(root, KERNEL)
        with (
            Archive(folder / "debian") as debian,
            Archive(folder / "security", security=True) as security,
        ):
            rack.add(CUDA.format(url=lab_nvidia.url))
            rack.add(SITE.format(debian=debian.url, security=security.url))
            filled = made.run("deploys/bundle.py", "--data", f"output={made.bundle}")
            assert filled.code == 0, filled.output
        with Folder(made.bundle) as server:
            url = server.listen("127.0.0.1")
            rack.add(FROM_BUNDLE.format(url=url, folder=str(made.bundle)))
            yield made
    finally:
        tree.unmount(folder / "tree")


def add_kernel(root: Path, release: str) -> None:
    modules = root / "lib/modules" / release
    (modules / "kernel").mkdir(parents=True)
    (modules / "modules.builtin").touch()


def test_the_bundle_has_all_that_the_driver_is_made_of(place: Place) -> None:
    names = {*place.record["packages"]["debian 12 amd64"]}
    headers = f"linux-headers-{KERNEL}"
    assert {"dkms", headers, "nvidia-kernel-open-dkms", "firmware-nvidia-gsp", "libcuda1"} <= names
    assert any("fabricmanager" in name for name in names), names
    assert any(each.startswith("cuda/debian12/") for each in place.record["archives"])
    locks = place.rack.folder / ".lab/sandbox/locks"
    pinned = yaml.safe_load((locks / "packages.yaml").read_text())["debian 12 amd64"]
    assert {"dkms", headers, "nvidia-kernel-open-dkms"} <= {*pinned}


def test_what_takes_all_from_it_needs_nothing_else(place: Place) -> None:
    """Such as another bundle: apt and uv find each file, and the signatures count."""
    planned = place.run("deploys/plan.py")
    assert planned.code == 0, planned.output
    second = place.bundle.with_name("second")
    again = place.run("deploys/bundle.py", "--data", f"output={second}")
    assert again.code == 0, again.output
    files = [{*_files(folder)} for folder in (place.bundle, second)]
    assert files[0] == files[1]


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def test_what_it_lacks_of_a_driver_is_refused_while_planning(place: Place) -> None:
    record = place.record
    kept = [each for each in record["archives"] if not each.startswith("cuda/")]
    (place.bundle / "BUNDLE.json").write_text(json.dumps({**record, "archives": kept}))
    add_kernel(place.root, OTHER)
    refused = place.run("deploys/full.py", "--dry")
    assert refused.code == 1
    assert "The bundle lacks cuda/debian12/x86_64/cuda-keyring_1.1-1_all.deb" in refused.output
    assert f"The bundle lacks linux-headers-{OTHER} for debian 12 amd64" in refused.output
