"""A server whose workers are killed, whichever it is, ends; one that is told to end does so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit import ROOT

# It starts two workers by the titles that SGLang gives its own, and does not look after them.
SERVER = """\
(exec -a "{title}::scheduler" sleep 300) & (exec -a "{title}::detokenizer" sleep 300) &
trap 'kill $(jobs -p); exit 7' TERM
while sleep 0.1; do :; done
"""


@pytest.fixture
def guarded() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """The guard, and its server's workers once they run."""
    title = f"test{os.getpid()}"
    script = SERVER.format(title=title)
    words = ["guard", f"{title}::", "--", "bash", "-c", script]
    command = [sys.executable, "-m", "deploys.remote", *words]
    guard = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        workers: list[int] = []
        while len(workers) < 2:
            time.sleep(0.05)
            assert guard.poll() is None
            workers = [
                int(folder.name)
                for folder in Path("/proc").glob("[0-9]*")
                if _title(folder).startswith(f"{title}::".encode())
            ]
        # Long enough for the guard to have seen them.
        time.sleep(1.5)
        yield guard, workers
    finally:
        with suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()


def _title(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("which", [0, 1])
def test_a_worker_that_is_killed_ends_the_server(
    guarded: tuple[subprocess.Popen[str], list[int]], which: int
) -> None:
    guard, workers = guarded
    os.kill(workers[which], signal.SIGKILL)
    _, said = guard.communicate(timeout=60)
    assert guard.returncode == 1
    assert "is gone, so the server is ended" in said
    assert not any(_title(Path("/proc", str(worker))) for worker in workers)


def test_a_server_that_is_told_to_end_says_how_it_ended(
    guarded: tuple[subprocess.Popen[str], list[int]],
) -> None:
    guard, _ = guarded
    guard.send_signal(signal.SIGTERM)
    _, said = guard.communicate(timeout=60)
    assert (guard.returncode, said) == (7, "")


@pytest.mark.parametrize(("ending", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_exit_status_is_the_servers(ending: str, code: int) -> None:
    words = ["guard", "nothing::", "--", "bash", "-c", ending]
    assert (
        subprocess.run([sys.executable, "-m", "deploys.remote", *words], cwd=ROOT).returncode
        == code
    )


def test_what_cannot_be_started_is_reported() -> None:
    words = ["guard", "nothing::", "--", "/no/such/program"]
    done = subprocess.run(
        [sys.executable, "-m", "deploys.remote", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1 and "/no/such/program cannot be started" in done.stderr
