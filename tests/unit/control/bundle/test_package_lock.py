"""Packages that are pinned once, by bundles and images alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.control.bundle import package_lock
from deploys.control.image.installed import InstalledPackage
from deploys.planning.inputs.refusal import Refusal

SYSTEM = "debian 12 amd64"


def package(name: str, version: str = "1", sha256: str = "a" * 64) -> InstalledPackage:
    return InstalledPackage(name=name, version=version, sha256=sha256)


def test_the_first_run_pins_and_later_ones_add_what_is_new(tmp_path: Path) -> None:
    assert not package_lock.is_pinned(tmp_path, SYSTEM)
    package_lock.pin([package("bash"), package("apt")], tmp_path, SYSTEM)
    assert package_lock.is_pinned(tmp_path, SYSTEM)
    assert not package_lock.is_pinned(tmp_path, "debian 13 amd64")
    before = (tmp_path / "packages.yaml").read_text()
    package_lock.pin([package("bash")], tmp_path, SYSTEM)
    assert (tmp_path / "packages.yaml").read_text() == before
    package_lock.pin([package("zstd")], tmp_path, SYSTEM)
    assert {"bash", "apt", "zstd"} <= {*package_lock._read(tmp_path)[SYSTEM]}


@pytest.mark.parametrize("other", [package("apt", "2"), package("apt", sha256="b" * 64)])
def test_another_package_than_was_pinned_is_refused_by_name(
    tmp_path: Path, other: InstalledPackage
) -> None:
    package_lock.pin([package("apt")], tmp_path, SYSTEM)
    before = (tmp_path / "packages.yaml").read_text()
    with pytest.raises(Refusal, match=r"1 packages for debian 12 amd64.*such as apt .* snapshot"):
        package_lock.pin([package("new"), other], tmp_path, SYSTEM)
    assert (tmp_path / "packages.yaml").read_text() == before
