"""Read files and run tools to gather facts; what cannot be read is empty, never an error."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# Seconds that a tool may take. One that talks to a dead GPU may never answer.
LIMIT = 10


def read(path: str | Path) -> str:
    """Return the text of a file, or "" if it is missing or may not be read."""
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def number(text: str, base: int = 10) -> int | None:
    """Return the number that `text` represents, or None for any other text."""
    try:
        return int(text.strip(), base)
    except ValueError:
        return None


def run(*command: str) -> tuple[str, str]:
    """Return what a tool prints on both outputs, and why it failed: "" if it did not.

    A tool that is not installed has printed nothing and is no failure.
    """
    # They cost a tenth of the whole run, and most machines ask nothing.
    import shutil
    import subprocess

    if shutil.which(command[0]) is None:
        return "", ""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
    except OSError as error:
        return "", f"{command[0]} does not start: {error.strerror}"
    try:
        output = process.communicate(timeout=LIMIT)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        # Not waited for: a process that hangs inside a driver outlives even this signal.
        os.killpg(process.pid, signal.SIGKILL)
        return "", f"{command[0]} did not answer within {LIMIT} seconds"
    if process.returncode:
        return output, f"{command[0]} ended with code {process.returncode}"
    return output, ""
