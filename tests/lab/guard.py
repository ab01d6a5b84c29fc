"""A process that removes a lab when the one that made it ends in whatever way without doing so."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.lab import removal
from tests.lab.process import PROJECT


def start(lab: str) -> subprocess.Popen[bytes]:
    """Watch this process from now on: its end of the pipe closes even when it is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", "from tests.lab.guard import main; main()", lab],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def main() -> None:
    """Wait for the end of standard input, then remove the lab if it is still there."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    if removal.directory(sys.argv[1]).exists():
        removal.remove(sys.argv[1])
