"""The stand-in as Ollama is released: `ollama-linux-amd64.tar.zst` with bin/ and lib/ollama/."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Release:
    """Where the stand-in for GitHub has it, as deploys/locks/artifacts.yaml pins it."""

    version: str
    path: str
    sha256: str

    @property
    def pin(self) -> dict[str, str]:
        """The entry `ollama` of a site's own artifacts.yaml."""
        return {
            "version": self.version,
            "origin": "ollama",
            "path": self.path,
            "sha256": self.sha256,
        }


def publish(root: Path, version: str, libraries: Mapping[str, Path]) -> Release:
    """Pack it below the root of a stand-in for GitHub.

    ``libraries`` are what lies in lib/ollama, by name: llama-server, and what it is linked to.
    """
    name = f"v{version}/ollama-linux-amd64.tar.zst"
    target = root / "ollama/ollama/releases" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        _add(tar, "./bin/ollama", program(version))
        for library, file in libraries.items():
            _add(tar, f"./lib/ollama/{library}", file.read_bytes())
    subprocess.run(
        ["zstd", "--quiet", "--force", "-o", str(target)], input=packed.getvalue(), check=True
    )
    return Release(version, name, hashlib.sha256(target.read_bytes()).hexdigest())


def program(version: str) -> bytes:
    """All that runs there as one file, which Python starts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for module in sorted(HERE.glob("*.py")):
            if module.name != "release.py":
                archive.write(module, f"standin/{module.name}")
        start = f"import sys\nfrom standin.__main__ import main\nsys.exit(main({version!r}))\n"
        archive.writestr("__main__.py", start)
    return b"#!/usr/bin/env python3\n" + packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.mode, info.size = 0o755, len(content)
    tar.addfile(info, io.BytesIO(content))
