"""An archive that is packed by zstd, as Ollama packs its releases, is unpacked like any other."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploys.remote.install import artifact
from deploys.remote.lib.failure import Failure
from tests.unit.remote.install.test_artifact import (
    ATTACKS,
    PROJECT,
    QUICK,
    assert_project,
    project_digest,
    sha,
    tar,
    wanted,
)
from tests.unit.remote.support import Hub, serving

pytestmark = pytest.mark.skipif(
    not shutil.which("zstd") and os.environ.get("CI") != "true", reason="there is no zstd"
)


def zstd(data: bytes) -> bytes:
    """Packed as in Ollama's scripts/build_linux.sh: with a window that is wider than most."""
    command = ["zstd", "--quiet", "--ultra", "-22", "--stdout"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def packed() -> bytes:
    return zstd(tar(PROJECT, ""))


def test_it_becomes_a_directory(tmp_path: Path, packed: bytes) -> None:
    with serving(Hub({"src.tar.gz": packed})) as hub:
        one = wanted(tmp_path / "x" / "src", hub, packed)
        made = artifact.install(one, patience=QUICK)
        assert_project(tmp_path / "x" / "src")
        assert (made.sha256, made.tree_sha256) == (sha(packed), project_digest())


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_lands_outside(tmp_path: Path, attack: str) -> None:
    data = zstd(tar([("file", "src/good", b"x"), *ATTACKS[attack]], ""))
    place = tmp_path / "deep" / "er" / "src"
    with serving(Hub({"src.tar.gz": data})) as hub, pytest.raises(Failure):
        artifact.install(wanted(place, hub, data), patience=QUICK)
    assert not place.exists() and not (place.parent / ".src.unpack").exists()
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {".src.lock"}


@pytest.mark.parametrize("cut", [4, 100, -3], ids=["at once", "in the middle", "at the end"])
def test_a_damaged_one_is_reported(tmp_path: Path, packed: bytes, cut: int) -> None:
    data = packed[:cut]
    with serving(Hub({"src.tar.gz": data})) as hub, pytest.raises(Failure, match="damaged"):
        artifact.install(wanted(tmp_path / "src", hub, data), patience=QUICK)


def test_something_other_than_a_tar_archive_is_reported(tmp_path: Path) -> None:
    data = zstd(b"no tar")
    with serving(Hub({"src.tar.gz": data})) as hub, pytest.raises(Failure, match="damaged"):
        artifact.install(wanted(tmp_path / "src", hub, data), patience=QUICK)


def test_without_zstd_that_is_reported_and_the_download_kept(
    tmp_path: Path, packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Hub({"src.tar.gz": packed})) as hub:
        one = wanted(tmp_path / "src", hub, packed)
        with monkeypatch.context() as bare:
            bare.setenv("PATH", "/nowhere")
            with pytest.raises(Failure, match=r"packed by zstd, .*: install zstd"):
                artifact.install(one, patience=QUICK)
        asked = len(hub.asked)
        artifact.install(one, patience=QUICK)
        assert len(hub.asked) == asked
    assert_project(tmp_path / "src")
