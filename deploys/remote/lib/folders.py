"""Create and check the folders that files are written to."""

from __future__ import annotations

from pathlib import Path

from .failure import Failure
from .spec import take_ownership


def make_directories(path: Path, ids: tuple[int, int]) -> None:
    """Create `path` and its missing parents, with mode 0755 and owned by `ids`."""
    if path.is_dir():
        return
    make_directories(path.parent, ids)
    path.mkdir(exist_ok=True)
    path.chmod(0o755)  # the umask must not decide
    take_ownership(path, ids)


def refuse_links(root: Path, path: str) -> None:
    """Raise Failure if a folder between `root` and `path` is a link: it may lead anywhere."""
    for part in Path(path).parents:
        if (root / part).is_symlink() and part != Path("."):
            raise Failure(
                f"{root / part} is a symbolic link: what is fetched would go where it leads; "
                "replace it by a folder"
            )
