"""Which backup a machine is restored from, refused before any change where there can be none."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.control.lifecycle import backups
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from tests.unit import UNIT


def test_a_machine_without_a_backup_is_deployed_as_always(tmp_path: Path) -> None:
    assert backups.of(Site(), "gpu-01") is None
    assert backups.of(Site(restore=tmp_path), "gpu-01") is None


def test_its_file_has_its_name(tmp_path: Path) -> None:
    file = backups.file_of(tmp_path, "@chroot/srv")
    assert file.parent == tmp_path
    file.write_bytes((UNIT / "data" / "backup.tar.gz").read_bytes())
    assert backups.of(Site(restore=tmp_path), "@chroot/srv") == file
    assert backups.names(file) == {"/etc/key.pem", "/var/data"}


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"There is no folder .*Name the folder that deploys/backup"):
        backups.of(Site(restore=tmp_path / "elsewhere"), "gpu-01")


@pytest.mark.parametrize("size", [0, 40])
def test_half_a_backup_is_refused(tmp_path: Path, size: int) -> None:
    whole = (UNIT / "data" / "backup.tar.gz").read_bytes()
    backups.file_of(tmp_path, "gpu-01").write_bytes(whole[:size])
    with pytest.raises(Refusal, match="is no whole backup"):
        backups.of(Site(restore=tmp_path), "gpu-01")
