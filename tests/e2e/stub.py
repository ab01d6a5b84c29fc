"""A program that takes a while to compile: a real build, small enough to be disturbed."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from deploys.remote.formats.tree import tree_sha256
from tests import temporary

# Each step waits for the one before it, so that more cores do not make the build shorter.
_CMAKE = """
cmake_minimum_required(VERSION 3.13)
project(stub C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(before)
foreach(step RANGE 1 @STEPS@)
  add_custom_command(OUTPUT step${step} COMMAND sleep 1 COMMAND touch step${step} DEPENDS ${before})
  set(before step${step})
endforeach()
add_custom_target(steps DEPENDS ${before})
add_executable(stub main.c)
add_dependencies(stub steps)
"""
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


def publish(root: Path, *, steps: int) -> Stub:
    """Make the archive below the root of a stand-in; its build takes `steps` seconds at least."""
    files = {"CMakeLists.txt": _CMAKE.replace("@STEPS@", str(steps)), "main.c": _MAIN}
    archive = root / "modelrack-lab/stub" / f"{steps}.tar.gz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with temporary.folder("modelrack-stub-") as folder, tarfile.open(archive, "w:gz") as tar:
        for name, text in files.items():
            (folder / name).write_text(text)
            entry = tarfile.TarInfo(f"stub-{steps}/{name}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        digest = tree_sha256(folder)
    return Stub(f"modelrack-lab/stub/archive/{steps}.tar.gz", digest)
