"""config.py at the root: a mistyped inventory is an error, not a run on no machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit import ROOT

INVENTORIES = sorted(path.stem for path in (ROOT / "inventories").glob("*.py"))


def _pyinfra(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyinfra", *words],
        **{"cwd": ROOT, "capture_output": True, "text": True, "timeout": 60},
    )


@pytest.mark.parametrize("words", [["debug-inventory"], ["deploys/full.py", "-y"]], ids=" ".join)
def test_an_inventory_that_is_not_there_is_refused_with_those_that_are(words: list[str]) -> None:
    run = _pyinfra("inventories/h8000.py", *words)
    assert run.returncode == 1
    printed = run.stdout + run.stderr
    assert "no inventory inventories/h8000.py. There are: " in printed
    assert printed.split("There are: ")[1].split("\n")[0].split(", ") == INVENTORIES
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "inventory", ["inventories/cpu.py", "@fake/one", "@fake/one,@fake/two", "tests/plans/fake.py"]
)
def test_every_other_inventory_is_taken(inventory: str) -> None:
    run = _pyinfra(inventory, "debug-inventory")
    assert run.returncode == 0, run.stderr
    assert "There are: " not in run.stdout + run.stderr


def test_it_makes_pyinfra_quick_before_the_inventory_is_read(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.py"
    inventory.write_text(
        "from pyinfra.api import util\nhosts = [('@fake/one', {'made': util.stack.__module__})]\n"
    )
    run = _pyinfra(str(inventory), "debug-inventory")
    assert "deploys.connection.speed" in run.stdout + run.stderr
