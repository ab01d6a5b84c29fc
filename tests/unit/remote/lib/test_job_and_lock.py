"""Long steps and locks: what they leave behind however they end. Packed as on a machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit import ROOT

REMOTE = ROOT / "deploys" / "remote"


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "modelrack.pyz"
    with zipfile.ZipFile(path, "w") as bundle:
        call = "from modelrack_remote.__main__ import main\nraise SystemExit(main())\n"
        bundle.writestr("__main__.py", call)
        for source in REMOTE.rglob("*.py"):
            bundle.write(source, f"modelrack_remote/{source.relative_to(REMOTE)}")
    return path


@pytest.fixture
def start(pyz: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    def call(*arguments: object) -> subprocess.Popen[str]:
        words = [sys.executable, "-I", str(pyz), *map(str, arguments)]
        pipes: Any = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen(words, cwd=tmp_path, text=True, **pipes)

    return call


Start = Callable[..., subprocess.Popen[str]]


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=10)
    return process.returncode, out + err


def status(start: Start, job: Path, *more: str) -> dict[str, Any]:
    code, out = finish(start("job", "status", job, *more))
    assert code == 0, out
    value: dict[str, Any] = json.loads(out)
    return value


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 5
    while not (path.exists() and path.read_bytes()):
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)


def test_a_job_from_none_to_done(start: Start, tmp_path: Path) -> None:
    job = tmp_path / "jobs" / "one"
    assert status(start, job)["state"] == "none"
    script = (
        'echo "[3/9] cc"; echo trouble >&2; echo "{\\"done\\": 1}" > $MODELRACK_PROGRESS; exit 3'
    )
    assert finish(start("job", "run", job, "--", "sh", "-c", script))[0] == 3
    seen = status(start, job, "--tail", "1")
    assert seen["state"] == "failed" and seen["exit"] == 3 and seen["tail"] == ["trouble"]
    assert seen["progress"] == {"done": 1} and seen["elapsed"] == 0
    assert abs(seen["started"] - time.time()) < 10
    assert job.stat().st_mode & 0o777 == 0o700
    assert (
        finish(start("job", "run", job, "--", "sh", "-c", 'echo "[1/9] a"; echo "[4/9] b"'))[0] == 0
    )
    seen = status(start, job)
    assert seen["state"] == "done" and seen["exit"] == 0
    assert seen["progress"] == {"done": 4, "total": 9, "unit": "steps"}
    assert "trouble" in (job / "log.1").read_text()
    assert finish(start("job", "run", job, "--", "no-such-program"))[0] == 127
    assert "no-such-program" in status(start, job)["tail"][-1]


def test_a_job_runs_once_and_ends_with_its_children(start: Start, tmp_path: Path) -> None:
    job, child = tmp_path / "job", tmp_path / "child"
    script = f"sleep 60 & echo $! > {child}; wait"
    running = start("job", "run", job, "--", "sh", "-c", script)
    wait_for(child)
    assert status(start, job)["state"] == "running"
    code, said = finish(start("job", "run", job, "--", "true"))
    assert code == 75 and "already" in said
    running.send_signal(signal.SIGTERM)
    assert finish(running)[0] == 143
    seen = status(start, job)
    assert (seen["state"], seen["exit"]) == ("failed", 143)
    assert not alive(int(child.read_text()))


def test_a_killed_job_is_lost(start: Start, tmp_path: Path) -> None:
    job, child = tmp_path / "job", tmp_path / "child"
    running = start("job", "run", job, "--", "sh", "-c", f"echo $$ > {child}; exec sleep 60")
    wait_for(child)
    running.kill()
    finish(running)
    os.kill(int(child.read_text()), signal.SIGKILL)  # as systemd does with the rest of the unit
    seen = status(start, job)
    assert (seen["state"], seen["exit"]) == ("lost", None)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


OWNER = '{"user": "ada", "from": "desk"}'


def test_a_lock_lives_as_long_as_its_channel(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "run" / "host.lock"
    assert finish(start("lock", "show", path)) == (0, "{}\n")
    # As the operator sends it before anything is on the machine.
    words = [
        sys.executable,
        "-c",
        (REMOTE / "lib" / "lock.py").read_text(),
        "hold",
        "--owner",
        OWNER,
        str(path),
    ]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdin
    assert holder.stdout.readline() == "held\n"
    code, said = finish(start("lock", "hold", "--owner", "{}", path))
    seen = json.loads(said)
    assert code == 75 and seen["user"] == "ada" and seen["holder"] == holder.pid
    assert json.loads(finish(start("lock", "show", path))[1])["since"] == seen["since"]
    holder.stdin.close()
    assert holder.wait(5) == 0
    assert path.read_bytes() == b""
    assert finish(start("lock", "show", path)) == (0, "{}\n")


@pytest.mark.parametrize("how", ["lease", signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_a_lock_is_never_left_behind(start: Start, tmp_path: Path, how: Any) -> None:
    path = tmp_path / "lock"
    lease = "1.5" if how == "lease" else "90"
    holder = start("lock", "hold", "--owner", OWNER, "--lease", lease, path)
    assert holder.stdout and holder.stdin
    assert holder.stdout.readline() == "held\n"
    if how == "lease":
        for _ in range(3):  # heartbeats keep it
            time.sleep(0.6)
            holder.stdin.write("\n")
            holder.stdin.flush()
        assert holder.poll() is None
        assert holder.wait(60) == 0
    else:
        holder.send_signal(how)
        assert holder.wait(5) == (-how if how == signal.SIGKILL else 0)
    holder.communicate()
    assert finish(start("lock", "show", path)) == (0, "{}\n")
    again = start("lock", "hold", "--owner", OWNER, path)
    assert again.stdout and again.stdout.readline() == "held\n"
    again.communicate("")
