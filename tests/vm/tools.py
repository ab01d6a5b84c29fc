"""QEMU and what makes disks for it, the same on every host: Debian 13's, in a tree of their own.

The host's own would do less and other things by its release: QEMU 7.2 takes twice the processor
for a boot, and its mke2fs leaks times into an image. Nothing of the tree is installed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.lab import tree

SUITE = "trixie"
PACKAGES = (
    "qemu-system-x86",
    "qemu-utils",
    "nbdkit",
    "ovmf",
    "e2fsprogs",
    "fdisk",
    "dosfstools",
    "mtools",
    "python3-virt-firmware",
)
WITHOUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd")


def folder() -> Path:
    """The tree; it is made on first use, which takes a minute of a processor."""
    digest = hashlib.sha256("\n".join((SUITE, *PACKAGES, *WITHOUT)).encode()).hexdigest()[:12]

    def build(beside: Path) -> Path:
        tree.make(SUITE, beside / "tree", PACKAGES, WITHOUT)
        return beside / "tree"

    return tree.cached("vm-tools", f"vm-tools-{digest}", build)


def file(name: str) -> str:
    """A file of the tree, such as `usr/share/OVMF/OVMF_CODE_4M.fd`."""
    return str(folder() / name)


def program(name: str) -> list[str]:
    """What to run instead of `name`: the tree's, with its own C library."""
    root = folder()
    found = next(
        path for place in ("usr/bin", "usr/sbin") if (path := root / place / name).is_file()
    )
    libraries = ":".join(str(root / part) for part in _LIBRARIES)
    return [str(root / _LOADER), "--library-path", libraries, str(found)]
