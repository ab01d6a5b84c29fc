"""full.py carried out on the tree of an image, as on any machine."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deploys.control.bundle import package_lock
from deploys.control.clients import services
from deploys.control.image import apt, installed
from deploys.control.image.entered import run_beside
from deploys.planning.image.recipe import ImageRecipe
from deploys.planning.inputs.refusal import Refusal

_PROJECT = Path(__file__).resolve().parents[3]
# Where DKMS looks for what it signs modules with; lent, so that the key is never in the tree.
_SIGNING = ("var/lib/dkms/mok.key", "var/lib/dkms/mok.pub")
# What programs of this computer trust, by the variables that say so.
_TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")
# Kernels are what a driver was compiled for: they stay.
_INSTALL = (
    "export DEBIAN_FRONTEND=noninteractive; apt-get -q update &&"
    " apt-get -qy install --no-install-recommends {}"
)
_HOLD = (
    "dpkg-query -W -f '${db:Status-Status} ${Package}\\n' |"
    " sed -n 's/^installed \\(linux-\\(image\\|headers\\)-.*\\)/\\1/p' | xargs apt-mark hold"
)


@dataclass(frozen=True, kw_only=True)
class TreeDeploy:
    """What is deployed into a tree.

    + inventory: of the host class; its first host's data hold for the tree
    + golden: hardware of a finished unit (deploys/golden.py)
    + module_key, module_certificate: the vendor's, that kernel modules are signed with; None where
      units boot without Secure Boot, or need no module
    """

    inventory: Path
    golden: Path
    module_key: Path | None = None
    module_certificate: Path | None = None

    @cached_property
    def data(self) -> dict[str, Any]:
        """Return what the inventory says of its first host."""
        found = services.listed(str(self.inventory))
        return dict(found[0]["data"])


def deploy(
    wanted: TreeDeploy,
    recipe: ImageRecipe,
    tree: Path,
    make: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    """Deploy into the base tree that `make` makes at `tree`.

    What is compiled first needs a compiler in the tree. So a run that has compiled something is
    followed by another one in a new tree, which takes what was compiled: no image has a compiler
    because it was the first.

    Raise Refusal if a run fails, or if a package is another than is pinned.
    """
    builds = Path(wanted.data["site"]["builds"])
    locks = Path(wanted.data["site"]["locks"])
    with _lent(wanted, recipe) as lent:

        def run(command: list[str]) -> tuple[int, str]:
            within = ["chroot", str(tree), *command]
            return run_beside(tree, within, _PROJECT, lent.files, lent.environment)

        for _ in range(2):
            before = {*builds.glob("*.tar.gz")}
            make()
            _install(recipe.packages, run)
            installed.pin(tree, run, locks, recipe.system)
            _run(wanted, lent, tree)
            compiled = {*builds.glob("*.tar.gz")} - before
            if not compiled:
                break
            names = ", ".join(sorted(path.name for path in compiled))
            say(f"compiled {names}; the tree is made again, without the compiler")
        else:
            raise Refusal("A second run compiled something again", "Run this again")
        installed.pin(tree, run, locks, recipe.system)
        code, output = run(["sh", "-c", _HOLD])
    if code:
        raise Refusal(f"The tree's kernel cannot be held: {output.strip()}", "Run this again")


@dataclass(frozen=True, kw_only=True)
class _Lent:
    """What a tree sees of this computer while it is deployed to.

    + folder: an empty one
    + files: of this computer, by their path in the tree
    + environment: variables of programs that change the tree
    + data: what pyinfra is told of the host
    """

    folder: Path
    files: Mapping[str, Path]
    environment: Mapping[str, str]
    data: Mapping[str, Any]


@contextmanager
def _lent(wanted: TreeDeploy, recipe: ImageRecipe) -> Iterator[_Lent]:
    with tempfile.TemporaryDirectory(prefix="modelrack-image-") as made:
        folder = Path(made)
        configuration = folder / "apt.conf"
        pinned = is_pinned(wanted.data["site"], recipe)
        lines = [*apt.settings(pinned=pinned), 'Acquire::Languages "none"']
        configuration.write_text("".join(f"{line};\n" for line in lines))
        files = {"etc/apt/apt.conf.d/00builder": configuration, **_signing(wanted)}
        data: dict[str, Any] = {}
        trusted = next((os.environ[name] for name in _TRUST if os.environ.get(name)), None)
        if trusted and Path(trusted).is_file():
            files["run/builder-ca.crt"] = Path(trusted)
            # pyinfra itself runs outside of the tree, and reads it where it is.
            data["_env"] = dict.fromkeys(_TRUST, "/run/builder-ca.crt")
        environment = {
            "SOURCE_DATE_EPOCH": str(recipe.epoch),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYC_INVALIDATION_MODE": "checked-hash",
        }
        yield _Lent(folder=folder, files=files, environment=environment, data=data)


def is_pinned(site: Mapping[str, Any], recipe: ImageRecipe) -> bool:
    """Whether it is known which packages come of the site's archives, whatever their day.

    + site: as the inventory has it
    """
    of_bundle = "disk" in site["mirrors"]
    return of_bundle or package_lock.is_pinned(Path(site["locks"]), recipe.system)


def _install(packages: Sequence[str], run: installed.RunInTree) -> None:
    """Install further packages, whose modules DKMS signs as it does those of a driver."""
    if not packages:
        return
    words = " ".join(map(shlex.quote, packages))
    code, output = run(["sh", "-c", _INSTALL.format(words)])
    if code:
        raise Refusal(
            f"The tree cannot have {' '.join(packages)}:\n{_told(output)}",
            "Name packages that the archive has, then run this again",
        )


def _run(wanted: TreeDeploy, lent: _Lent, tree: Path) -> None:
    # A group is called as its file is, and its data are found by that name.
    inventory = lent.folder / wanted.inventory.name
    inventory.write_text(f"hosts = [({f'@chroot/{tree}'!r}, {dict(lent.data)!r})]\n")
    command = [
        *(sys.executable, "-m", "pyinfra", str(inventory), "deploys/full.py", "-y"),
        *("--group-data", str(wanted.inventory.resolve().parent / "group_data")),
        *("--data", f"golden_unit={wanted.golden.resolve()}"),
    ]
    code, output = run_beside(tree, command, _PROJECT, lent.files, lent.environment)
    if code:
        raise Refusal(
            f"full.py does not end in this tree:\n{_told(output)}",
            "Put that right, then run this again",
        )


def _signing(wanted: TreeDeploy) -> Mapping[str, Path]:
    if wanted.module_key is None:
        return {}
    if wanted.module_certificate is None:
        raise Refusal(
            "There is a key for kernel modules, and no certificate",
            "Name it, in DER: --module-certificate vendor.der",
        )
    return dict(zip(_SIGNING, (wanted.module_key, wanted.module_certificate), strict=True))


def _told(output: str) -> str:
    """Return what says why: refusals, or the end of what was printed."""
    lines = [line for line in output.splitlines() if line.strip()]
    return "\n".join([line for line in lines if "refused:" in line] or lines[-25:])


def record(tree: Path) -> dict[str, Any]:
    """Return the plan that was carried out in a tree."""
    path = tree / "var/lib/modelrack/state.json"
    plan: dict[str, Any] = json.loads(path.read_text())["plan"]
    return plan


def commit() -> str:
    """Return the commit of this project; "unknown" where it is in no repository."""
    asked = ["git", "-C", str(_PROJECT), "rev-parse", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def committed() -> int:
    """Return when that commit was made, in seconds since 1970."""
    asked = ["git", "-C", str(_PROJECT), "log", "-1", "--format=%ct"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refusal(
            "This project is in no repository that says when it was changed",
            "Give the time that files shall have, in seconds since 1970: --epoch 1764460800",
        )
    return int(done.stdout)
