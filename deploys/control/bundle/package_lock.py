"""packages.yaml of a site's locks: a system's packages, pinned by the first run that takes them.

Bundles and images of one system have the same ones; another run refuses what differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import yaml

from deploys.control.replaced import replace
from deploys.planning.inputs.refusal import Refusal

_NAME = "packages.yaml"
_HEADER = "# Written by deploys/bundle.py and deploys/image.py; keep it in git.\n"


class LockedPackage(Protocol):
    """What is pinned of a package."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def sha256(self) -> str: ...


def is_pinned(locks: Path, system: str) -> bool:
    """Whether it is known which packages a system has, so an archive of another day will do."""
    return system in _read(locks)


def pin(found: Iterable[LockedPackage], locks: Path, system: str) -> None:
    """Pin packages that are not yet; raise Refusal where one is another than is pinned.

    + locks: folder of the site's locks
    + system: such as "debian 12 amd64"
    """
    path, pinned = locks / _NAME, _read(locks)
    before = pinned.get(system, {})
    now = {each.name: {"version": each.version, "sha256": each.sha256} for each in found}
    apart = [name for name in now if name in before and before[name] != now[name]]
    if apart:
        first = apart[0]
        raise Refusal(
            f"{len(apart)} packages for {system} are others than {_NAME} has, such as"
            f" {first} {now[first]['version']} instead of {before[first]['version']}",
            "Name a bundle, or a snapshot of the archive, in the site; or remove"
            f" {system} from {path} to take the new ones",
        )
    if now.keys() <= before.keys():
        return
    locks.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({**pinned, system: {**before, **now}}, sort_keys=True)
    replace(path, _HEADER + text)


def _read(locks: Path) -> dict[str, Any]:
    path = locks / _NAME
    return yaml.safe_load(path.read_text()) if path.exists() else {}
