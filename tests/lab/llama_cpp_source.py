"""The source archive of llama.cpp at one commit, taken from a Python package that ships it whole.

The source distribution of llama_cpp_python carries the complete tree under ``vendor/llama.cpp``. It
comes from whatever package index this machine is set up for, and is checked by sha256.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path, PurePosixPath

from tests import temporary
from tests.lab import package_index

COMMIT = "0c1e57098bba43ac29e6e3b677cdceebdd22334f"
NAME = f"ggml-org/llama.cpp/{COMMIT}.tar.gz"
PROJECT = "llama-cpp-python"
SDIST = "llama_cpp_python-0.3.36.tar.gz"
SDIST_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
VENDORED = "llama_cpp_python-0.3.36/vendor/llama.cpp/"


def sources() -> Path:
    """Where archives are kept: ``$XDG_CACHE_HOME/modelrack/sources``."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "modelrack" / "sources"


def archive(sdist: Path | None = None) -> Path:
    """The archive as GitHub names and roots it; made once, from ``sdist`` or the index's copy."""
    target = sources() / NAME
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary.folder(".making-", target.parent) as folder:
        if sdist is None:
            sdist = package_index.download(PROJECT, SDIST, folder)
        found = hashlib.sha256(sdist.read_bytes()).hexdigest()
        if found != SDIST_SHA256:
            raise ValueError(f"{sdist} has sha256 {found}, not {SDIST_SHA256}")
        repack(sdist, folder / "archive")
        (folder / "archive").rename(target)
    return target


def repack(sdist: Path, target: Path) -> None:
    """Write the vendored tree as ``llama.cpp-<commit>/…``; the same bytes every time."""
    prefix, newest = f"llama.cpp-{COMMIT}/", 0
    files: dict[str, tuple[int, bytes]] = {}
    with tarfile.open(sdist) as source:
        for member in source:
            name = member.name.removeprefix(VENDORED)
            # ``.git`` is the submodule's link, which an archive made by git does not have.
            if member.isfile() and name != member.name and name != ".git":
                content = source.extractfile(member)
                assert content is not None
                files[name] = (0o755 if member.mode & 0o100 else 0o644, content.read())
                newest = max(newest, int(member.mtime))
    folders = {f"{parent}/" for name in files for parent in PurePosixPath(name).parents[:-1]}
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed,
        # git writes the commit into a global header; ``git get-tar-commit-id`` reads it there.
        tarfile.open(
            fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": COMMIT}
        ) as result,
    ):
        for name in sorted(["", *folders, *files]):
            info = tarfile.TarInfo(f"{prefix}{name}".rstrip("/"))
            info.uname = info.gname = "root"
            info.mtime, info.mode, info.type = newest, 0o755, tarfile.DIRTYPE
            data = b""
            if name in files:
                info.mode, data = files[name]
                info.type, info.size = tarfile.REGTYPE, len(data)
            result.addfile(info, io.BytesIO(data))
