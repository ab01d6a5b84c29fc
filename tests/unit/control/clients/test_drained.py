"""deploys/drain.py is refused before anything changes where it cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plans.simulated import MACHINES
from tests.unit.control.clients.fake_run import run

MACHINE = {"modelrack-facts-machine": json.dumps(MACHINES["cpu"])}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ((), "No machine is named"),
        (("away=@fake/c",), "The inventory has no @fake/c"),
        (("away=@fake/a", "back=@fake/a,@fake/b"), "@fake/a cannot be both away and back"),
        (("away=@fake/a", "patience=long"), "patience=long is no number of seconds"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, data: tuple[str, ...], said: str) -> None:
    words = [word for each in data for word in ("--data", each)]
    done = run(tmp_path, "deploys/drain.py", {"a": MACHINE, "b": MACHINE}, *words)
    assert done.returncode == 1
    assert said in done.stderr and "Lock this machine" not in done.stderr
