"""Compile and install one program, and pack the result for machines of the same kind.

    modelrack.pyz build SPEC.json

    {"source": folder with CMakeLists.txt, "work": folder for the compiler's files,
     "directory": where the result goes, "options": ["NAME=VALUE", ...], "targets": [...],
     "stamp": {...}, "pack": path of the .tar.gz}

The result is installed under a temporary name and renamed, so `directory` is complete or does not
exist. The compiler's files are kept until then: a build that was killed resumes where it stopped,
unless the machine went down with it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from ..lib import unproven


def main(argv: list[str]) -> int:
    spec: dict[str, Any] = json.loads(Path(argv[0]).read_text())
    directory = Path(spec["directory"])
    try:
        if not directory.exists():
            _compile(spec)
            _install(spec, directory)
        _pack(directory, Path(spec["pack"]))
    except subprocess.CalledProcessError as error:
        command = " ".join(error.cmd[:3])
        print(f"{command} ... failed with exit code {error.returncode}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"the build stopped: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(spec["work"], ignore_errors=True)
    _note(spec).unlink(missing_ok=True)
    return 0


def _compile(spec: dict[str, Any]) -> None:
    if unproven.cut_off(_note(spec)):
        shutil.rmtree(spec["work"], ignore_errors=True)
    unproven.begin(_note(spec))
    definitions = [f"-D{option}" for option in spec["options"]]
    subprocess.run(
        ["cmake", "-G", "Ninja", "-S", spec["source"], "-B", spec["work"], *definitions],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    targets = [word for target in spec["targets"] for word in ("--target", target)]
    subprocess.run(["cmake", "--build", spec["work"], *targets], check=True)


def _note(spec: dict[str, Any]) -> Path:
    work = Path(spec["work"])
    return work.with_name(f"{work.name}.unproven")


def _install(spec: dict[str, Any], directory: Path) -> None:
    arriving = directory.with_name(f"{directory.name}.arriving")
    shutil.rmtree(arriving, ignore_errors=True)
    programs = arriving / "bin"
    programs.mkdir(parents=True)
    for target in spec["targets"]:
        shutil.copy(Path(spec["work"], "bin", target), programs / target)
        subprocess.run(["strip", str(programs / target)], check=True)
        os.chmod(programs / target, 0o755)
    (arriving / "build.json").write_text(json.dumps(spec["stamp"], indent=2, sort_keys=True) + "\n")
    os.sync()
    arriving.rename(directory)


def _pack(directory: Path, pack: Path) -> None:
    arriving = pack.with_name(f"{pack.name}.arriving")
    with tarfile.open(arriving, "w:gz", compresslevel=6) as archive:
        archive.add(directory, arcname=".", filter=belongs_to_root)
    arriving.rename(pack)


def belongs_to_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the entry of an archive as one of root's, whoever compiled it."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
