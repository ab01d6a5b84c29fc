"""Those that are compared, in environments of their own, exactly as their locks pin them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import uv

# What the pinned ones ask of the machine that they run on.
_OLDEST_PYTHON = (3, 11)


class PeersError(Exception):
    """The peers cannot be had here; the message says why."""


def environment(lock: str) -> Path:
    """The folder of the virtual environment of a lock here, made if it is not there yet."""
    path = Path(__file__).with_name(f"{lock}.txt")
    if sys.version_info < _OLDEST_PYTHON:
        needed, found = _dotted(_OLDEST_PYTHON), _dotted(sys.version_info[:2])
        raise PeersError(
            f"what is compared needs Python {needed} or newer and this is {found}:"
            f" make the project's environment with Python {needed} to compare"
        )
    python = f"{sys.base_prefix} {sys.version}"
    digest = hashlib.sha256(path.read_bytes() + python.encode()).hexdigest()[:12]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(cache) / "modelrack" / "bench" / digest
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--quiet", "--python", sys.executable, str(folder))
        _uv(
            *("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"),
            *("--python", str(folder / "bin" / "python"), str(path)),
        )
        (folder / "complete").touch()
    return folder


def mitogen_strategies(folder: Path) -> Path:
    """Where ansible finds Mitogen's strategies."""
    return next(folder.glob("lib/python3*/site-packages/ansible_mitogen/plugins/strategy"))


def _uv(*words: str) -> None:
    done = subprocess.run([uv.find_uv_bin(), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PeersError(f"uv {words[0]} failed: {done.stderr.strip()}")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
