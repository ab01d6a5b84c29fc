"""deploys/usage.py on several machines: one table at the end; who cannot be asked is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.plans.simulated import MACHINES
from tests.unit.control.clients.fake_run import run
from tests.unit.planning.gateway.usage_examples import ROW

# A part of the command by which the log is summed.
LOG = "modelrack-gateway"


def machine(*rows: dict[str, Any], broken: int = 0) -> dict[str, Any]:
    log = {"since": "2026-11-02" if rows else None, "broken": broken, "rows": rows}
    return {"modelrack-facts-machine": json.dumps(MACHINES["cpu"]), LOG: json.dumps(log)}


DOWN = {**machine(), LOG: {"success": False, "stderr": "journalctl cannot read it"}}


def test_the_machines_of_a_run_make_one_table(tmp_path: Path) -> None:
    both = {"a": machine(ROW), "b": machine({**ROW, "estimated": 1}), "c": machine()}
    done = run(tmp_path, "deploys/usage.py", both)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" alice ") == 1
    row = next(line.split() for line in done.stdout.splitlines() if " alice " in line)
    assert row == ["2026-11", "research", "alice", "r1", "4", "~2,000", "~1,000", "0:02:03"]
    assert "~ with answers of which the engine did not say" in done.stdout
    # A month that a log has only a part of is no whole one.
    assert [line for line in done.stdout.splitlines() if "since" in line] == [
        "@fake/a: since 2026-11-02, UTC",
        "@fake/b: since 2026-11-02, UTC",
    ]


def test_a_machine_that_cannot_be_asked_is_named_and_the_run_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "deploys/usage.py", {"a": machine(ROW, broken=3), "b": DOWN})
    assert done.returncode == 1
    assert " alice " in done.stdout
    assert "Not counted, as they could not be asked: @fake/b" in done.stderr
    assert "@fake/a: 3 lines of the log cannot be read" in done.stderr


def test_csv_is_all_that_is_printed(tmp_path: Path) -> None:
    done = run(tmp_path, "deploys/usage.py", {"a": machine(ROW)}, "--data", "format=csv")
    assert done.stdout == (
        "month,team,user,model,answers,estimated_answers,tokens_in,tokens_out,seconds\n"
        "2026-11,research,alice,r1,2,0,1000,500,61.5\n"
    )


def test_where_nobody_has_asked_it_is_said(tmp_path: Path) -> None:
    done = run(tmp_path, "deploys/usage.py", {"a": machine()})
    assert (done.returncode, done.stdout) == (0, "No gateway has answered anybody yet.\n")
