"""Create a Python environment from a lock file, check that its packages import, and stamp it.

    modelrack.pyz venv SPEC.json

    {"uv": path, "directory": where it goes, "python": version or path, "lock": path of the
     requirements file, "imports": [...], "index": address or null, "wheels": page or folder or
     null, "python_builds": address or null, "cuda": whether there is a toolkit among the packages,
     "stamp": {...}}

An environment without a stamp is not repaired but created anew. A Python that the machine does not
have is downloaded by uv, which knows the hash of each build.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import cuda_home

# Below /opt, as services may not look into anybody's home.
_SETTINGS = {
    "UV_NO_PROGRESS": "1",
    # As apt and all else on the machine: a mirror may have a certificate of the site's own.
    "UV_SYSTEM_CERTS": "1",
    "UV_CACHE_DIR": "/var/cache/modelrack/uv",
    "UV_PYTHON_INSTALL_DIR": "/opt/modelrack/python",
}


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
    return 0
