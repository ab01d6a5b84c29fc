"""What facts hand out can be printed: pyinfra <inventory> fact deploys.facts.machine.Hardware."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from tests.unit import UNIT

# pyinfra's command line would turn the threads of all tests into greenlets.
with patch("gevent.monkey.patch_all"):
    from pyinfra_cli.util import json_encode

CASES = sorted((UNIT / "cases" / "facts").rglob("*.yaml"))


def _plain(value: Any) -> Any:
    """As JSON has it; a set is a list there, in any order."""
    return json.loads(json.dumps(value, default=json_encode))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}: {path.stem}")
def test_an_answer_is_printed_whole(path: Path) -> None:
    module, _, name = path.parent.name.rpartition(".")
    case = yaml.safe_load(path.read_text())
    fact = getattr(importlib.import_module(f"deploys.facts.{module}"), name)()
    printed, expected = _plain(fact.process(case["output"].splitlines())), _plain(case["fact"])
    if isinstance(printed, list):
        printed, expected = sorted(printed, key=str), sorted(expected, key=str)
    assert printed == expected


def test_pyinfra_prints_the_answers(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("one\n")
    paths = f"paths={json.dumps([f'{tmp_path}/there', f'{tmp_path}/gone'])}"
    run = subprocess.run(
        [sys.executable, "-m", "pyinfra", "@local", "fact", "deploys.facts.files.Entries", paths],
        **{"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60},
    )
    assert run.returncode == 0, run.stderr
    printed = (run.stdout + run.stderr).split("--> Fact data for", 1)[1]
    answer = json.loads(printed[printed.index("\n{") : printed.index("\n}") + 2])["@local"]
    assert set(answer) == {f"{tmp_path}/there"}
    assert (answer[f"{tmp_path}/there"]["kind"], answer[f"{tmp_path}/there"]["size"]) == ("file", 4)
