"""Operations: one YAML file a case, in cases/operations/<module>.<operation>/."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml

from deploys import operations
from deploys.control import locks
from tests.unit import UNIT, case_commands

CASES = UNIT / "cases" / "operations"


@pytest.fixture(autouse=True)
def _our_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    case_commands.install(monkeypatch)
    monkeypatch.chdir(UNIT / "data")
    monkeypatch.setattr(locks, "_ENGINES", UNIT / "data")


for _folder in sorted(CASES.iterdir()):
    globals()[_folder.name] = case_commands.make_operation_tests(
        "deploys.operations", _folder.name, _folder
    )


def test_every_operation_has_a_case_that_changes_nothing_and_one_that_changes() -> None:
    found = set()
    folder = Path(operations.__file__).parent
    for path in folder.rglob("[a-z]*.py"):
        within = ".".join(path.relative_to(folder).with_suffix("").parts)
        module = importlib.import_module(f"deploys.operations.{within}")
        found |= {
            f"{within}.{name}"
            for name, value in vars(module).items()
            if hasattr(value, "_inner") and value._inner.__module__ == module.__name__
        }
    for name in found:
        cases = [yaml.safe_load(case.read_text()) for case in (CASES / name).iterdir()]
        assert any(not case["commands"] for case in cases), f"{name}: no case without a change"
        # Taking the lock is no change; test_host_lock.py has the rest.
        assert name == "host_lock.acquire" or any(case["commands"] for case in cases), name
    assert found == {folder.name for folder in CASES.iterdir()}
