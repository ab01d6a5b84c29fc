"""Ask the database of open-source vulnerabilities about every pinned Python package: `make audit`.

uv 0.13 audits projects, not requirements files, so each lock is made into a project that requires
exactly its versions. What a lock may have all the same is held off in
deploys/locks/advisories.yaml.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploys.planning.inputs.site import Site
from tests import temporary
from tests.lab.surroundings import variables

UV = Path(sys.executable).parent / "uv"
LINUX = (
    "sys_platform == 'linux' and platform_machine == 'x86_64'"
    " and platform_python_implementation == 'CPython' and python_version == '3.12'"
)


def project(lock: str) -> str:
    """A project that requires what a lock pins, on the system that locks are for."""
    pins = re.findall(r"^([a-z0-9][\w.-]*==[^\\]*?) *\\?$", lock, re.MULTILINE)
    return "\n".join(
        [
            "[project]",
            'name = "pins"',
            'version = "0"',
            'requires-python = "==3.12.*"',
            f"dependencies = {json.dumps(pins, indent=1)}",
            "[tool.uv]",
            "package = false",
            'prerelease = "allow"',
            f'environments = ["{LINUX}"]',
            "",
        ]
    )


def audit(lock: Path, arguments: Sequence[str] = (), uv: Path = UV) -> bool:
    """Whether nothing is known about the packages of a lock; uv says what is."""
    print(f"\n--> {lock.stem}", flush=True)
    excluded = lock.with_suffix(".excludes")
    with temporary.folder("modelrack-audit-") as folder:
        text = project(lock.read_text())
        if excluded.exists():
            names = [line for line in excluded.read_text().splitlines() if line[0] != "#"]
            text += f"exclude-dependencies = {json.dumps(names)}\n"
        (folder / "pyproject.toml").write_text(text)
        command = [uv, "audit", "--quiet", "--preview-features", "audit-command", *arguments]
        environment = {**os.environ, **variables()}
        return subprocess.run(command, cwd=folder, env=environment).returncode == 0


def main(*arguments: str) -> int:
    """Arguments are those of `uv audit`."""
    folder = Site().locks
    locks = sorted(folder.rglob("*.txt"))
    return 0 if all([audit(lock, arguments) for lock in locks]) else 1


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
