"""Run host commands; a failure names the command and shows what it said."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

PROJECT = Path(__file__).parents[2]


class LabError(RuntimeError):
    """Something in the lab did not work; the text is one that a person can act on."""


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    check: bool = True,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run ``argv`` on the host and return its standard output."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, cwd=cwd, env=env)
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        script = f"\n{stdin.strip()}" if stdin else ""
        raise LabError(f"{' '.join(argv)} ended with {done.returncode}: {said}{script}")
    return done.stdout
