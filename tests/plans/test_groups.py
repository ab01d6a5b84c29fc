"""Machines that serve a model together in one run of pyinfra, and in runs that leave one out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plans import update


def refused(*words: str) -> dict[str, str]:
    """The refusals of a run, by machine."""
    run = update.pyinfra(*words)
    assert run.returncode != 0
    return dict(update.REFUSED.findall(run.stderr))


def test_a_run_that_leaves_one_out_is_refused() -> None:
    assert refused("--limit", "@fake/h800x2-01") == {
        "h800x2-01": "Service deepseek-r1: @fake/h800x2-02 serves it together with"
        " @fake/h800x2-01, and this run leaves it out. Run it with --limit @fake/h800x2-01 --limit"
        " @fake/h800x2-02, or without --limit."
    }


def test_one_after_another_is_refused() -> None:
    found = refused("--limit", "h800x2", "--serial")
    assert {*found} == {"h800x2-01", "h800x2-02"}
    assert all("Run it without --serial" in each for each in found.values())


def test_both_are_started_before_the_head_is_waited_for() -> None:
    run = update.pyinfra("--limit", "h20x2", "--debug-operations")
    assert run.returncode == 0, run.stderr
    both = ["@fake/h20x2-01", "@fake/h20x2-02"]
    order = json.loads(run.stdout)["op_order"]
    names = [each["names"][0] for each in order if sorted(each["hosts"]) == both]
    start = "vLLM | Configure and start the services, and wait until they answer"
    wait = "vLLM | Wait until what several machines serve together answers"
    assert names.index(start) + 1 == names.index(wait)
    # Nothing is done on one of them alone.
    assert all(sorted(each["hosts"]) == both for each in order)


@pytest.mark.parametrize("parallel", ["1", "2"])
def test_a_run_by_halves_plans_the_same(parallel: str) -> None:
    run = update.pyinfra("--limit", "h800x2", "--parallel", parallel)
    assert run.returncode == 0, run.stderr


def test_what_speaks_against_one_speaks_against_both(tmp_path: Path) -> None:
    """The second machine has no disk that is large enough."""
    inventory = tmp_path / "pair.py"
    inventory.write_text(
        "import json, runpy\n"
        f"hosts = runpy.run_path({str(update.HERE / 'fake.py')!r})['h800x2']\n"
        "facts = json.loads(hosts[1][1]['fake_responses']['modelrack-facts-machine'])\n"
        "[each.update(free=1 << 30) for each in facts['disks']]\n"
        "hosts[1][1]['fake_responses']['modelrack-facts-machine'] = json.dumps(facts)\n"
        "h800x2 = hosts\n"
    )
    run = update.pyinfra(inventory=str(inventory))
    assert run.returncode != 0
    found: dict[str, list[str]] = {}
    for name, refusal in update.REFUSED.findall(run.stderr):
        found.setdefault(name, []).append(refusal)
    (alone,) = found["h800x2-02"]
    assert "/data" in alone
    (because,) = found["h800x2-01"]
    assert because.startswith(
        "@fake/h800x2-02 serves deepseek-r1 together with this machine, and is refused:"
    )


def test_another_model_is_tried_on_both() -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pyinfra", "tests/plans/fake.py", "deploys/plan.py", "-y"),
            *("--limit", "h800x2", "--data", "model=deepseek-v3"),
            *("--group-data", str(update.GROUP_DATA)),
        ],
        cwd=update.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("serves deepseek-v3") == 2
    assert run.stdout.count("over 2 machines") == 2
