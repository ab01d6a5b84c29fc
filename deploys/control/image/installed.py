"""The packages of a tree, as archives know them: pinned, or compared with their pins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deploys.control.bundle import package_lock
from deploys.control.image import described
from deploys.planning.inputs.refusal import Refusal
from deploys.rendering.render import APT_SOURCES, APT_SOURCES_FOLDER

# What the tree itself names, and what the site names: a stage reads the second alone.
_UPDATE = f"""\
update="apt-get -q -o APT::Update::Error-Mode=any update"
$update || exit
[ ! -e {APT_SOURCES} ] || $update --no-list-cleanup \
  -o Dir::Etc::SourceList={APT_SOURCES} -o Dir::Etc::SourceParts={APT_SOURCES_FOLDER}
"""
_FIELD = re.compile(r"^(Package|Version|Architecture|SHA256): (.+)$", re.MULTILINE)

# Runs a command in the tree; returns its code and output.
RunInTree = Callable[[list[str]], tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class InstalledPackage:
    """One package of a tree; `sha256` of its file in the archive."""

    name: str
    version: str
    sha256: str


def pin(tree: Path, run: RunInTree, locks: Path, system: str) -> None:
    """Pin the packages that a tree has; raise Refusal where one is another than is pinned."""
    package_lock.pin(_installed(tree, run), locks, system)


def _installed(tree: Path, run: RunInTree) -> list[InstalledPackage]:
    code, said = run(["sh", "-c", _UPDATE])
    if code:
        lines = [line for line in said.splitlines() if line.startswith("E:")]
        raise Refusal(
            f"The tree cannot read its archives: {(lines or ['no word why'])[-1]}",
            "Check the mirrors of the site, then run this again",
        )
    known = dict(_listed(tree / "var/lib/apt/lists"))
    found, strange = [], []
    for name, version, architecture in described.packages(tree):
        sha256 = known.get((name, version, architecture))
        if sha256 is None:
            strange.append(f"{name} {version}")
        else:
            found.append(InstalledPackage(name=name, version=version, sha256=sha256))
    if strange:
        raise Refusal(
            f"{len(strange)} packages of the tree are in none of its archives, such as"
            f" {strange[0]}, so they cannot be pinned",
            "Run this again if the archive has changed meanwhile; otherwise name a mirror that has"
            " them",
        )
    return found


def _listed(lists: Path) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield name, version and architecture of all that archives have, with the file's sha256."""
    for index in lists.glob("*_Packages"):
        for stanza in index.read_text().split("\n\n"):
            told = dict(_FIELD.findall(stanza))
            if len(told) == 4:
                yield (told["Package"], told["Version"], told["Architecture"]), told["SHA256"]
