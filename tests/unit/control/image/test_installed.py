"""What a tree has of packages, with the sums that its archives have of their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.control.bundle import package_lock
from deploys.control.image import installed
from deploys.planning.inputs.refusal import Refusal

LISTS = """\
Package: bash
Version: 5.2.15-2+b9
Architecture: amd64
Description: a shell
 SHA256: is not its sum
SHA256: {sum}

Package: bash
Version: 5.2.15-2+b10
Architecture: amd64
SHA256: {other}
"""
STATUS = """\
Package: bash
Status: install ok installed
Version: {version}
Architecture: amd64
Maintainer: x
Description: x
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    lists = tmp_path / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    text = LISTS.format(sum="a" * 64, other="b" * 64)
    (lists / "archive_dists_bookworm_main_binary-amd64_Packages").write_text(text)
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS.format(version="5.2.15-2+b9"))
    return tmp_path


def test_a_tree_is_pinned_by_what_its_archives_have_signed(tree: Path) -> None:
    asked = []

    def run(command: list[str]) -> tuple[int, str]:
        asked.append(command)
        return 0, ""

    installed.pin(tree, run, tree / "locks", "debian 12 amd64")
    assert len(asked) == 1 and "apt-get" in asked[0][-1]
    pinned = package_lock._read(tree / "locks")["debian 12 amd64"]
    assert pinned == {"bash": {"version": "5.2.15-2+b9", "sha256": "a" * 64}}
    (tree / "var/lib/dpkg/status").write_text(STATUS.format(version="5.2.15-2+b10"))
    with pytest.raises(Refusal, match=r"such as bash 5\.2\.15-2\+b10 instead of 5\.2\.15-2\+b9"):
        installed.pin(tree, run, tree / "locks", "debian 12 amd64")


def test_what_no_archive_has_and_what_none_answers_are_refused(tree: Path) -> None:
    (tree / "var/lib/dpkg/status").write_text(STATUS.format(version="9"))
    with pytest.raises(Refusal, match="in none of its archives, such as bash 9"):
        installed.pin(tree, lambda _: (0, ""), tree / "locks", "debian 12 amd64")
    failed = "Err:1 ...\nE: Failed to fetch InRelease\n"
    with pytest.raises(Refusal, match="cannot read its archives: E: Failed to fetch InRelease"):
        installed.pin(tree, lambda _: (100, failed), tree / "locks", "debian 12 amd64")
    assert not (tree / "locks").exists()
