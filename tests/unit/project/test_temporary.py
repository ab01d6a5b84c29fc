"""What tests and benches make goes with them, however they end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import temporary
from tests.unit import ROOT

SIGNALS = pytest.mark.parametrize("number", temporary.ENDINGS, ids=lambda number: number.name)
HOLDS = """
import sys, time
from pathlib import Path
from typing import Any
from tests import temporary
with temporary.folder("modelrack-held-", Path(sys.argv[1])) as folder:
    (folder / "weights").write_bytes(bytes(1 << 20))
    while True:
        time.sleep(0.1)
"""
# A bench whose command writes where the bench has its folder.
MEASURES = """
import sys
import tempfile
from pathlib import Path
from typing import Any
from tests import temporary
from tests.bench import cost
cost.settle = lambda served: None
with temporary.folder("modelrack-held-", Path(sys.argv[1])) as folder:
    (folder / "weights").touch()
    cost.measure(folder, folder, [["sh", "-c", f"echo $$ > {sys.argv[1]}/../pid; exec sleep 600"]])
"""
TEST = """
import time
def test_it(tmp_path):
    (tmp_path / "weights").write_bytes(bytes(1 << 20))
    for _ in range({seconds} * 10):
        time.sleep(0.1)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "tmp"
    made.mkdir()
    return made


def begun(place: Path, *words: str | Path) -> subprocess.Popen[bytes]:
    """A process that has written its file below the place."""
    process = subprocess.Popen(
        # Whoever runs these tests in the background has a shell that ignores SIGINT for them.
        ["env", "--default-signal", sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(place), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: [*place.rglob("weights")] or process.poll() is not None)
    assert process.poll() is None
    return process


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes], number: int) -> None:
    process.send_signal(number)
    assert process.wait(60) != 0


@SIGNALS
def test_it_goes_with_a_process_that_is_ended(place: Path, number: int) -> None:
    end(begun(place, "-c", HOLDS, place), number)
    assert [*place.iterdir()] == []


def test_what_a_killed_process_left_goes_with_the_next(place: Path) -> None:
    (place / "modelrack-held-results").mkdir()
    alive = begun(place, "-c", HOLDS, place)
    (held,) = [path.parent for path in place.rglob("weights")]
    killed = subprocess.Popen([sys.executable, "-c", HOLDS, place], cwd=ROOT)
    until(lambda: len([*place.rglob("weights")]) == 2)
    end(killed, signal.SIGKILL)
    assert len([*place.iterdir()]) == 3
    with temporary.folder("modelrack-held-", place) as folder:
        # Nothing of those who live, and nothing that somebody else has called alike.
        assert {*place.iterdir()} == {place / "modelrack-held-results", held, folder}
    end(alive, signal.SIGTERM)
    assert [*place.iterdir()] == [place / "modelrack-held-results"]


def test_who_has_said_nohup_means_it(place: Path) -> None:
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + HOLDS
    process = begun(place, "-c", code, place)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    end(process, signal.SIGTERM)


@SIGNALS
def test_what_a_bench_has_started_ends_with_it(place: Path, number: int) -> None:
    process = begun(place, "-c", MEASURES, place)
    noted = place.parent / "pid"
    until(lambda: noted.exists() and noted.read_text().strip())
    end(process, number)
    until(lambda: not Path(f"/proc/{noted.read_text().strip()}").exists())
    assert [*place.iterdir()] == []


def test_a_server_ends_with_a_bench_that_is_killed(place: Path) -> None:
    code = (
        "import subprocess, sys, time\nfrom tests.temporary import DIES_WITH_US\n"
        "server = subprocess.Popen([*DIES_WITH_US, 'sleep', '600'])\n"
        "open(f'{sys.argv[1]}/weights', 'w').write(str(server.pid))\ntime.sleep(600)"
    )
    process = begun(place, "-c", code, place)
    until((place / "weights").read_text)
    server = Path("/proc") / (place / "weights").read_text()
    # `setpriv` has become the server.
    until(lambda: b"setpriv" not in (server / "cmdline").read_bytes())
    end(process, signal.SIGKILL)
    until(lambda: not server.exists())


@pytest.mark.parametrize(
    ("workers", "number"), [("0", signal.SIGTERM), ("0", signal.SIGINT), ("1", signal.SIGHUP)]
)
def test_what_tests_made_goes_when_they_are_ended(place: Path, workers: str, number: int) -> None:
    file = place.parent / "test_it.py"
    file.write_text(TEST.format(seconds=600))
    plugins = ("-p", "tests.conftest", "-p", "no:cacheprovider")
    process = begun(place, "-m", "pytest", *plugins, "-n", workers, file)
    # As a terminal does that is closed: to its workers, too.
    os.killpg(process.pid, number)
    assert process.wait(60) != 0
    assert [*place.iterdir()] == []


def test_a_folder_that_another_run_takes_for_one_that_was_left_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = tempfile.mkdtemp, []

    def lost_once(**words: Any) -> str:
        made.append(make(**words))
        if len(made) == 1:
            Path(made[0]).rmdir()
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", lost_once)
    with temporary.folder("modelrack-lost-", tmp_path) as folder:
        assert folder.is_dir() and len(made) == 2


def test_what_tests_made_goes_when_they_are_over(place: Path) -> None:
    file = place.parent / "test_it.py"
    file.write_text(TEST.format(seconds=0))
    plugins = ("-p", "tests.conftest", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, file],
        **{"cwd": ROOT, "env": {**os.environ, "TMPDIR": str(place)}, "capture_output": True},
    )
    assert done.returncode == 0, done.stdout
    assert [*place.iterdir()] == []


def test_nobody_makes_temporary_files_in_another_way() -> None:
    made = re.compile(r"tempfile\.(mk|Temp|Named|Spooled)|tempfile import")
    found = {
        path.relative_to(ROOT / "tests").as_posix()
        for path in (ROOT / "tests").rglob("*.py")
        if made.search(path.read_text()) and path != Path(__file__)
    }
    assert found == {"temporary.py"}
