"""A CUDA home folder, assembled from packages that each bring a part of the toolkit.

Software that compiles kernels at run time (FlashInfer, DeepGEMM) expects the layout of NVIDIA's
installer: bin, include and nvvm, and in lib64 libraries without a version in their names. The
packages for CUDA 13 have their parts in site-packages/nvidia/cu13.
"""

from __future__ import annotations

import os
from pathlib import Path


def make(environment: Path) -> None:
    """Lay the toolkit out as the folder `cuda` of an environment, made of links."""
    (parts,) = environment.glob("lib/python3*/site-packages/nvidia/cu13")
    home = environment / "cuda"
    libraries = home / "lib64"
    (libraries / "stubs").mkdir(parents=True)
    for name in ("bin", "include", "nvvm"):
        _link(home / name, parts / name)
    for library in sorted((parts / "lib").iterdir()):
        _link(libraries / library.name, library)
        name, versioned, _ = library.name.partition(".so.")
        if versioned:
            (libraries / f"{name}.so").symlink_to(library.name)
    # The driver's, wherever the linker finds it: a text in the place of a library is read as this.
    (libraries / "stubs" / "libcuda.so").write_text("INPUT ( -l:libcuda.so.1 )\n")


def _link(link: Path, target: Path) -> None:
    link.symlink_to(os.path.relpath(target, link.parent))
