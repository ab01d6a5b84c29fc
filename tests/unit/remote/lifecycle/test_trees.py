"""A folder goes with all that is in it, but for what is mounted there."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.remote.lifecycle import trees


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ours"
    (folder / "shared cache").mkdir(parents=True)
    (folder / "shared cache/of others").write_text("theirs")
    (folder / "more").mkdir()
    (folder / "more/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("theirs, too")
    return folder


def test_it_goes_and_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    stays: list[str] = []
    assert trees.removable(folder)
    trees.remove(folder, stays)
    assert not folder.exists() and not stays
    assert (tmp_path / "elsewhere/file").exists()
    assert not trees.removable(folder)
    trees.remove(folder, stays)


def test_what_is_mounted_stays_and_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    escaped = str(folder / "shared cache").replace(" ", r"\040")
    monkeypatch.setattr(trees, "read", lambda _: f"/dev/sda1 {escaped} ext4 rw 0 0\n")
    stays: list[str] = []
    trees.remove(folder, stays)
    assert [each.name for each in folder.iterdir()] == ["shared cache"]
    assert (folder / "shared cache/of others").read_text() == "theirs"
    assert stays == [f"{folder}/shared cache stays, as another file system is mounted there"]
    # And nothing is left to do.
    assert not trees.removable(folder)
