"""What earlier deploys have compiled and packed, for machines of every system and processor."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

from deploys.planning.inputs.site import Site


def program(name: str, folder: Path, version: str = "*") -> Path | None:
    """A program of the newest llama.cpp without CUDA that runs on this computer, unpacked.

    + folder: where it is unpacked
    + version: of llama.cpp, where another will not do
    """
    archives = Site().builds.glob(f"llama.cpp-{version}-*.tar.gz")
    for archive in sorted(archives, key=lambda path: path.stat().st_mtime, reverse=True):
        build = folder / archive.name.removesuffix(".tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(build, filter="data")
        options = json.loads((build / "build.json").read_text())["options"]
        if "GGML_CUDA=ON" not in options and _runs(build / "bin" / name):
            return build / "bin" / name
    return None


def _runs(program: Path) -> bool:
    """Not where the C library is older than it takes, or the processor is another."""
    try:
        return subprocess.run([program, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False
