"""Trees that mmdebstrap makes out of signed archives: the base of an image, and our own tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from filelock import FileLock

from deploys.control.image import apt
from deploys.planning.image.recipe import ImageRecipe
from deploys.planning.inputs.refusal import Refusal

_LOCK = Path(__file__).resolve().parents[2] / "locks" / "image_tools.yaml"
_KEYRING = "/usr/share/keyrings/{}-archive-keyring.gpg"
# What nobody reads on an appliance; copyright files stay.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*")
_KEPT = "/usr/share/doc/*/copyright"


def base(recipe: ImageRecipe, tree: Path, mirrors: Sequence[str], *, pinned: bool) -> None:
    """Make the base tree of an image at `tree`, which is not there yet.

    + mirrors: of the distribution and of its security updates; none: its own
    + pinned: it is known which packages come of them, so archives of another day will do
    """
    sources = []
    keyring = _KEYRING.format(recipe.distribution)
    if mirrors:
        main, security = mirrors
        parts = " ".join(recipe.components)
        of = {recipe.suite: main, f"{recipe.suite}-updates": main}
        of[f"{recipe.suite}-security"] = security
        sources = [f"deb [signed-by={keyring}] {url} {suite} {parts}" for suite, url in of.items()]
    elif recipe.distribution != "debian":
        raise Refusal(
            f"This site names no archive of {recipe.distribution}",
            f"Set mirrors.{recipe.distribution} of the site in inventories/group_data",
        )
    if not Path(keyring).exists():
        raise Refusal(
            f"There is no {keyring}, which the archive of {recipe.distribution} is signed with",
            f"apt-get install {recipe.distribution}-archive-keyring",
        )
    words = [f"--components={' '.join(recipe.components)}", f"--keyring={keyring}"]
    packages = recipe.base_packages
    make(recipe.suite, tree, packages, recipe.epoch, [*words], sources, pinned=pinned)


def make(
    suite: str,
    tree: Path,
    packages: Sequence[str],
    epoch: int,
    options: Sequence[str] = (),
    sources: Sequence[str] = (),
    *,
    pinned: bool = False,
) -> None:
    """Make a tree with these packages; raise Refusal if the archive does not have them."""
    command = [
        *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}"),
        *(f"--aptopt={setting}" for setting in apt.settings(pinned=pinned)),
        *(f"--dpkgopt=path-exclude={glob}" for glob in _LEFT_OUT),
        # Nothing of it is worth a power cut; sealing takes this setting back.
        *(f"--dpkgopt=path-include={_KEPT}", "--dpkgopt=force-unsafe-io"),
        *(*options, suite, str(tree), *sources),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        # The last one only says that there were others.
        said = [line for line in lines if "mmdebstrap failed" not in line] or ["mmdebstrap failed"]
        raise Refusal(
            f"The base tree of {suite} cannot be made: {said[-1]}",
            "Check the mirrors of the site and that this is root with mmdebstrap, then run this"
            " again",
        )


def tools() -> Path:
    """Return a tree of trixie with what assembles images, in the versions that are pinned.

    It is made once; other versions would write other bytes.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelrack"
    wanted: dict[str, str] = yaml.safe_load(_LOCK.read_text())
    tree = cache / "image-tools" / "-".join(wanted.values()).replace(":", "_")
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "image-tools.lock"):
        if not tree.is_dir():
            tree.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".arriving-", dir=tree.parent) as folder:
                arriving = Path(folder) / "tree"
                make("trixie", arriving, [*wanted], 0)
                _check(arriving, wanted)
                shutil.move(arriving, tree)
    return tree


def _check(tree: Path, wanted: Mapping[str, str]) -> None:
    asked = ["chroot", str(tree), "dpkg-query", "-W", "-f", "${Package} ${Version}\n"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    found = dict(line.split() for line in told.splitlines())
    for name, version in wanted.items():
        if found.get(name) != version:
            raise Refusal(
                f"The archive has {name} {found.get(name)}, and images are made with {version}",
                f"Name a snapshot of the archive to apt, or write the new version into {_LOCK}:"
                " images then differ from those before",
            )
