"""The file trees that machines boot from: a cached base, layers on top of it, overlay mounts.

A base is built once per suite and package list. A machine's own tree is an overlay mount over it,
so a new machine costs nothing; what a stopped machine wrote can be kept as a layer that other
machines start from.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploys.control.image import apt
from tests import temporary
from tests.lab.process import LabError, run

# What a freshly installed server has: SSH and Python, nothing that a deploy should bring itself.
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "iproute2",
    "ca-certificates",
    "sudo",
    "curl",
    "procps",
)

SSHD = """\
PermitRootLogin prohibit-password
PasswordAuthentication no
UseDNS no
MaxSessions 200
MaxStartups 200
"""


@dataclass(frozen=True)
class Layer:
    """Trees to stack, the topmost first; the last one is a complete system."""

    trees: tuple[Path, ...]


def cache_root() -> Path:
    """Where bases and running labs live: ``$XDG_CACHE_HOME/modelrack/lab``."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(cache) / "modelrack" / "lab"
    root.mkdir(parents=True, exist_ok=True)
    return root


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; released by the kernel when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cached(kind: str, name: str, build: Callable[[Path], Path]) -> Path:
    """The folder of this name in the cache; built when there is none, by one process at a time.

    + kind: of which one is built at a time
    + build: is given a folder to work in, and returns what is kept of it
    """
    made = cache_root() / name
    if not made.is_dir():
        with locked(cache_root() / f"{kind}.lock"):
            if not made.is_dir():
                with temporary.folder(f".{kind}-", made.parent) as beside:
                    beside.chmod(0o755)
                    build(beside).rename(made)
    return made


def base(
    suite: str = "bookworm",
    say: Callable[[str], None] = lambda text: None,
    more: Sequence[str] = (),
) -> Layer:
    """The base tree of a Debian suite, built with mmdebstrap when the cache has none.

    ``more`` are packages that a machine has beside those of every server.
    """
    packages = (*PACKAGES, *more)
    parts = (suite, *packages, SSHD, "package lists")
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

    def build(beside: Path) -> Path:
        say(f"building the {suite} base tree (once, a minute or three)")
        make(suite, beside / "tree", packages, lists=True)
        return beside / "tree"

    return Layer((cached("base", f"{suite}-{digest}", build),))


def mount(directory: Path, layer: Layer) -> Path:
    """Make a writable tree over ``layer`` under ``directory`` and return its root."""
    for part in ("upper", "work", "root"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    root = directory / "root"
    lower = ":".join(str(tree) for tree in layer.trees)
    # redirect_dir: without it, renaming a directory that came from a layer fails with EXDEV.
    options = (
        f"lowerdir={lower},upperdir={directory / 'upper'},workdir={directory / 'work'},"
        "redirect_dir=on,metacopy=off,index=off"
    )
    done = subprocess.run(
        ["mount", "-t", "overlay", "modelrack-lab", "-o", options, str(root)],
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return root
    if len(layer.trees) > 1:
        raise LabError(f"no overlay mount over {lower}: {done.stderr.strip()}")
    # A cache that is itself on overlayfs cannot be a lower or upper directory: copy instead.
    run(["cp", "-a", "--reflink=auto", f"{layer.trees[0]}/.", str(root)])
    return root


def unmount(directory: Path) -> None:
    """Take the overlay of ``directory`` away; its upper directory stays."""
    if (directory / "root").is_mount():
        run(["umount", str(directory / "root")])


def freeze(directory: Path, below: Layer, to: Path) -> Layer:
    """Turn what a stopped machine wrote into a layer at ``to``; its own tree is left empty."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if not (directory / "root").is_mount():
        run(["cp", "-a", "--reflink=auto", str(directory / "root"), str(to)])
        return Layer((to,))
    unmount(directory)
    shutil.move(directory / "upper", to)
    shutil.rmtree(directory / "work")
    return Layer((to, *below.trees))


def make(
    suite: str,
    tree: Path,
    packages: Sequence[str],
    without: Sequence[str] = (),
    *,
    lists: bool = False,
) -> None:
    """A fresh system with these packages at `tree`, which is not there yet.

    + without: what nobody needs of them, as globs
    + lists: apt keeps those of the archive, as on a machine that is in use: to ask for what is
      newer takes it a moment, and to read all of them anew seconds of a processor
    """
    run(
        [
            *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}"),
            *(f"--aptopt={option}" for option in apt.settings()),
            *(f"--dpkgopt=path-exclude={glob}" for glob in without),
            *(["--skip=cleanup/apt/lists"] if lists else []),
            *(suite, str(tree)),
        ]
    )
    finish(tree)


def finish(tree: Path) -> None:
    """Take out what must differ between machines and set up the SSH server."""
    for key in (tree / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)
    drop_in = tree / "etc/ssh/sshd_config.d/lab.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(SSHD)
    drop_in.chmod(0o644)
