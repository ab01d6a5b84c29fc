"""Create a Python environment from a lock file, check that its packages import, and stamp it.

    modelrack.pyz venv SPEC.json

    {"uv": path, "directory": where it goes, "python": version or path, "lock": path of the
     requirements file, "imports": [...], "index": address or null, "wheels": page or folder or
     null, "python_builds": address or null, "cuda": whether there is a toolkit among the packages,
     "stamp": {...}}

An environment without a stamp is not repaired but created anew. A Python that the machine does not
have is downloaded by uv, which knows the hash of each build. After a power cut nothing is used of
what uv has kept, and no Python that came meanwhile.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ..lib import unproven
from . import cuda_home

# Below /opt, as services may not look into anybody's home.
_SETTINGS = {
    "UV_NO_PROGRESS": "1",
    # As apt and all else on the machine: a mirror may have a certificate of the site's own.
    "UV_SYSTEM_CERTS": "1",
    "UV_CACHE_DIR": "/var/cache/modelrack/uv",
    "UV_PYTHON_INSTALL_DIR": "/opt/modelrack/python",
}

# While uv writes there.
_NOTE = Path("/var/cache/modelrack/uv.unproven")


def main(argv: list[str]) -> int:
    spec: dict[str, Any] = json.loads(Path(argv[0]).read_text())
    directory = Path(spec["directory"])
    python = directory / "bin" / "python"
    environment = {**os.environ, **_SETTINGS}
    for setting, value in (
        ("UV_DEFAULT_INDEX", spec["index"]),
        ("UV_FIND_LINKS", spec["wheels"]),
        ("UV_PYTHON_INSTALL_MIRROR", spec["python_builds"]),
    ):
        if value:
            environment[setting] = value
    shutil.rmtree(directory, ignore_errors=True)
    _begin()
    steps = [
        [spec["uv"], "venv", "--python", spec["python"], str(directory)],
        [
            *(spec["uv"], "pip", "sync", "--require-hashes", "--compile-bytecode"),
            *("--python", str(python), spec["lock"]),
        ],
        [str(python), "-c", "".join(f"import {name}\n" for name in spec["imports"])],
    ]
    for step in steps:
        if subprocess.run(step, env=environment, stdin=subprocess.DEVNULL).returncode:
            print(f"{' '.join(step[:3])} ... failed, see the lines above", file=sys.stderr)
            return 1
    if spec["cuda"]:
        cuda_home.make(directory)
    # uv's own, for others who would write here at the same time; anybody could write to it.
    (directory / ".lock").unlink(missing_ok=True)
    stamp = directory / ".modelrack.json"
    arriving = stamp.with_suffix(".arriving")
    arriving.write_text(json.dumps(spec["stamp"], indent=2, sort_keys=True) + "\n")
    os.sync()
    arriving.rename(stamp)
    _NOTE.unlink(missing_ok=True)
    return 0


def _begin() -> None:
    pythons = Path(_SETTINGS["UV_PYTHON_INSTALL_DIR"])
    now = [path.name for path in pythons.glob("*")]
    there = unproven.there_before(_NOTE)
    if there is not None and unproven.cut_off(_NOTE):
        shutil.rmtree(_SETTINGS["UV_CACHE_DIR"], ignore_errors=True)
        for path in [pythons / name for name in now if name not in there]:
            path.unlink() if path.is_symlink() else shutil.rmtree(path, ignore_errors=True)
    _NOTE.parent.mkdir(parents=True, exist_ok=True)
    unproven.begin(_NOTE, now if there is None else there)
