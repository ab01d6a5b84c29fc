"""The tree of a stopped machine as an image's, which programs change without booting it."""

from __future__ import annotations

from pathlib import Path

from deploys.control.image.entered import run_beside

__all__ = ["inventory", "run_beside"]


def inventory(beside: Path, tree: Path) -> Path:
    """Write an inventory of one tree, with the group data of another one, and return its path."""
    written = beside.with_name("tree.py")
    written.write_text(f"hosts = ['@chroot/{tree}']\n")
    data = beside.parent / "group_data"
    (data / "tree.py").write_text((data / beside.name).read_text())
    return written
