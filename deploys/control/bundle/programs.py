"""Our own programs for machines, run on the operator's computer to fill a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from deploys.connection import programs
from deploys.planning.inputs.refusal import Refusal


def run(work: Path, spec: dict[str, Any], *words: str) -> None:
    """Run a program of modelrack.pyz with a spec on its standard input; raise Refusal if it fails.

    + work: a folder for the archive
    """
    archive = work / "modelrack.pyz"
    if not archive.exists():
        archive.write_bytes(programs.zipapp())
    done = subprocess.run(
        [sys.executable, str(archive), *words, "-"],
        input=json.dumps(spec),
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise Refusal(
            lines[-1] if lines else f"{' '.join(words)} ended with {done.returncode}",
            "Run this again: what is there is kept",
        )
