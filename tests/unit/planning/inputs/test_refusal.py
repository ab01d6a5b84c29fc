"""An operator reads a refusal as two sentences, wherever it was raised."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit import ROOT

PROFILE = "from deploys.planning.inputs.profile import HostProfile, Service\n"
SITE = "from deploys.planning.inputs.site import Site\nsite = Site()\n"
FAKE = 'hosts = [("@fake/one", {"fake_delay": 0, "fake_delay_jitter": 0})]\n'


def _pyinfra(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyinfra", str(folder / "rack.py"), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def rack(tmp_path: Path) -> Path:
    (tmp_path / "rack.py").write_text(FAKE)
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data" / "all.py").write_text(SITE)
    return tmp_path


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("profile = HostProfile(gpu='H800')", "Name the GPU and how many there are"),
        (
            "profile = Service(name='A', engine='vllm', model='m', port=8080)",
            "'A' cannot name a service",
        ),
        (
            "profile = Service(name='a', engine='vllm', model='m', port=8080, floor=30)",
            "floor is now called min_tokens_per_second",
        ),
        (
            "profile = Service(name='a', engine='vllm', model='m', port=8080, gpu_share=0.9)",
            "Write gpu_memory_utilization=0.9 instead",
        ),
        (
            "profile = Service(name='a', engine='ollama', model='m', port=8080, copy=True)",
            "copy is now called allow_copy",
        ),
        ("profile = HostProfile(busy_gpus=True)", "Write allow_busy_gpus=True instead"),
    ],
)
def test_in_group_data_it_has_no_traceback(profile: str, expected: str, rack: Path) -> None:
    (rack / "group_data" / "rack.py").write_text(f"{PROFILE}{profile}\n")
    run = _pyinfra(rack, "debug-inventory")
    assert run.returncode == 1
    printed = run.stdout + run.stderr
    assert expected in printed
    assert "rack.py" in printed
    # pyinfra prints the headline of a traceback itself; no line of our code follows.
    assert not re.search(r'(?m)^ +File "', printed) and "profile.py" not in printed


def test_while_planning_it_stops_the_host_before_any_change(rack: Path) -> None:
    run = _pyinfra(rack, str(ROOT / "deploys" / "full.py"), "-y")
    assert run.returncode == 1
    assert "refused: This host has no profile. Name its host class" in run.stderr
    assert "Traceback" not in run.stdout + run.stderr
    assert "Keep other runs away" not in run.stderr
