"""Pins are written so that a change is a readable diff, and read back as they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploys.control import locks as lock_files
from deploys.planning.inputs.locks import Place
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from tests.unit.planning.plan_examples import locks

LOCK = locks().weights["tiny"]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    lock_files.write(folder, {"tiny": LOCK})
    assert lock_files.read(folder).weights == {"tiny": LOCK}


def test_places_with_the_same_files_are_kept_and_none_is_no_line(tmp_path: Path) -> None:
    lock_files.write(tmp_path, {"tiny": LOCK})
    assert "also" not in (tmp_path / "weights.yaml").read_text()
    assert [place.hub for place in LOCK.places] == ["modelscope"]
    place = Place(hub="huggingface", repository="o/tiny-hf", revision="ab" * 20)
    both = replace(LOCK, also=(place,))
    lock_files.write(tmp_path, {"tiny": both})
    assert lock_files.read(tmp_path).weights == {"tiny": both}
    assert both.places[1] == place


def test_other_pins_are_kept_and_sorted(tmp_path: Path) -> None:
    other = replace(LOCK, revision="other")
    lock_files.write(tmp_path, {"b": LOCK})
    lock_files.write(tmp_path, {"a": LOCK})
    before = (tmp_path / "weights.yaml").read_text()
    lock_files.write(tmp_path, {"b": other})
    assert lock_files.read(tmp_path).weights == {"a": LOCK, "b": other}
    after = (tmp_path / "weights.yaml").read_text()
    assert before.startswith("# Written by deploys/lock.py")
    changed = set(after.splitlines()) ^ set(before.splitlines())
    assert changed == {"  revision: other"}
    assert [path.name for path in tmp_path.iterdir()] == ["weights.yaml"]


def test_nothing_pinned_yet_is_no_error(tmp_path: Path) -> None:
    assert lock_files.read(tmp_path).weights == {}
    (tmp_path / "weights.yaml").write_text("# only a comment\n")
    assert lock_files.read(tmp_path).weights == {}


def test_the_pins_of_the_repository_can_be_read() -> None:
    artifact = lock_files.read(Site().locks).artifacts["llama.cpp"]
    assert artifact.version in artifact.path
    assert artifact.tree_sha256 or artifact.sha256


@pytest.mark.parametrize(
    "text",
    [
        "tiny: [unclosed",
        "tiny: {}",
        "tiny: {hub: modelscope}",
        "tiny: 7",
        "- tiny",
        "tiny: {hub: modelscope, repository: r, revision: r, files: [{path: a}]}",
        "tiny: {hub: modelscope, repository: r, revision: r, files: [], also: [{hub: x}]}",
        "tiny: {hub: modelscope, repository: r, revision: r, files: [], also: 7}",
    ],
)
def test_a_damaged_file_is_refused_and_not_written_over(text: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.yaml"
    path.write_text(text)
    with pytest.raises(Refusal, match="Restore the file from git"):
        lock_files.read(tmp_path)
    assert path.read_text() == text
