"""A program whose build waits: a real one, small, which goes on when a test says so."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from deploys.remote.formats.tree import tree_sha256
from tests import temporary

# Each step waits for the one before it; the first one ends at once, so that there is progress.
_CMAKE = """
cmake_minimum_required(VERSION 3.13)
project(stub C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_custom_command(OUTPUT begun COMMAND touch begun)
add_custom_command(
  OUTPUT ended COMMAND sh ${CMAKE_SOURCE_DIR}/wait.sh COMMAND touch ended DEPENDS begun
)
add_custom_target(steps DEPENDS ended)
add_executable(stub main.c)
add_dependencies(stub steps)
"""
# A build that is to wait goes on where this file is.
GOES_ON = "/run/goes-on"
_WAIT = f"until [ -e {GOES_ON} ]; do sleep 0.1; done\n"
_MAIN = '#include <stdio.h>\nint main(void) { puts("stub"); return 0; }\n'


@dataclass(frozen=True)
class Stub:
    """Where the stand-in for GitHub has it, and the digest of its content."""

    path: str
    tree_sha256: str

    @property
    def data(self) -> str:
        """For the group data of a rack."""
        return f"stub = {{'path': {self.path!r}, 'tree_sha256': {self.tree_sha256!r}}}"


def publish(root: Path, *, waits: bool = False) -> Stub:
    """Make the archive below the root of a stand-in; see GOES_ON for one whose build waits."""
    files = {"CMakeLists.txt": _CMAKE, "main.c": _MAIN, "wait.sh": _WAIT if waits else ""}
    archive = root / "modelrack-lab/stub/1.tar.gz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with temporary.folder("modelrack-stub-") as folder, tarfile.open(archive, "w:gz") as tar:
        for name, text in files.items():
            (folder / name).write_text(text)
            entry = tarfile.TarInfo(f"stub-1/{name}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        digest = tree_sha256(folder)
    return Stub("modelrack-lab/stub/archive/1.tar.gz", digest)
