"""A stand-in for uv's source of Pythons: Debian 12's own 3.11, packed as the real ones are.

uv knows the real builds by their hashes; `known` is a list of builds in the form of uv's own, for
its setting python-downloads-json-url. It is good on a machine whose own Python is another one and
that has the libraries of Debian's.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from pathlib import Path

from tests.lab import tree

_RELEASE = "20300101"
_LEFT_OUT = re.compile(r"/(?:__pycache__|test|tests|dist-packages|idlelib|tkinter)(?:/|$)")
# Where uv finds the builds, and what a mirror stands for.
_UPSTREAM = "https://github.com/astral-sh/python-build-standalone/releases/download"


def publish(root: Path, known: Path) -> str:
    """Put a build where a mirror has it, and write the list of builds; returns its version."""
    base = tree.base("bookworm").trees[0]
    python = base / "usr/bin/python3.11"
    command = [
        "chroot",
        str(base),
        "python3.11",
        "-c",
        "import platform as p; print(p.python_version())",
    ]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    build = f"cpython-{version}+{_RELEASE}-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
    file = root / _RELEASE / build
    file.parent.mkdir(parents=True)
    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        archive.add(python, "python/bin/python3.11")
        for name in ("python", "python3"):
            link = tarfile.TarInfo(f"python/bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "python3.11"
            archive.addfile(link)
        archive.add(base / "usr/lib/python3.11", "python/lib/python3.11", filter=_wanted)
    entry = {
        "name": "cpython",
        "arch": {"family": "x86_64", "variant": None},
        "os": "linux",
        "libc": "gnu",
        **dict(zip(("major", "minor", "patch"), map(int, version.split(".")), strict=True)),
        "prerelease": "",
        "url": f"{_UPSTREAM}/{_RELEASE}/{build.replace('+', '%2B')}",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "variant": None,
        "build": _RELEASE,
    }
    known.write_text(json.dumps({f"cpython-{version}-linux-x86_64-gnu": entry}))
    return version


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    elsewhere = entry.issym() and entry.linkname.startswith("/")
    return None if elsewhere or _LEFT_OUT.search(f"/{entry.name}") else entry
