"""Every host class becomes what its golden file says, all classes planned in one run."""

from __future__ import annotations

import json
import resource
from difflib import unified_diff
from graphlib import TopologicalSorter
from itertools import pairwise

import pytest

from tests.plans import update
from tests.plans.simulated import CLASSES, MACHINES
from tests.plans.update import Planned

# Seconds of a processor for all classes: a plan is looked at before every change.
PATIENCE = 30


@pytest.fixture(scope="module")
def run() -> Planned:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    planned = update.planned()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < PATIENCE
    return planned


@pytest.fixture(scope="module")
def drivers() -> list[Planned]:
    """The driver stages alone, which services that cannot be had do not hold up."""
    return [update.planned(stage) for stage in update.DRIVERS]


@pytest.mark.parametrize("name", MACHINES)
def test_a_class_becomes_what_its_golden_file_says(
    name: str, run: Planned, drivers: list[Planned]
) -> None:
    path = update.HERE / f"{name}.txt"
    expected = path.read_text() if path.exists() else ""
    found = update.golden(name, run, drivers)
    difference = "\n".join(
        unified_diff(expected.splitlines(), found.splitlines(), path.name, "now", lineterm="")
    )
    assert not difference, f"\n{difference}\n\nIf that is meant: {update.UPDATE}"


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in update.HERE.glob("*.txt")} == set(MACHINES)


def test_a_refused_class_is_refused_for_its_plan_and_has_no_operations(run: Planned) -> None:
    for name in MACHINES:
        for rank in range(CLASSES[name].machines):
            host, (_, plan) = update.host_of(name, rank), update.plan_of(name, rank)
            assert run.refusals.get(host, []) == list(map(str, plan.refusals))
            assert bool(run.operations(host)) == (host not in run.refusals)


def test_no_operation_of_one_class_is_taken_for_another_of_another(run: Planned) -> None:
    assert [each["names"] for each in run.order if len(each["names"]) != 1] == []
    names = [name for each in run.order for name in each["names"]]
    assert len(names) == len(set(names))


def test_all_classes_agree_on_one_order(run: Planned) -> None:
    after: dict[str, set[str]] = {}
    for name in MACHINES:
        steps = run.operations(update.host_of(name))
        for earlier, later in pairwise(steps):
            after.setdefault(later, set()).add(earlier)
    # A cycle is an error here, as it is in pyinfra.
    assert set(TopologicalSorter(after).static_order()) <= {
        name for each in run.order for name in each["names"]
    }


def test_the_lock_is_taken_before_anything_else(run: Planned) -> None:
    assert run.order[0]["names"] == ["Lock this machine"]


def test_a_run_with_refused_classes_fails(run: Planned) -> None:
    assert run.code == (1 if run.refusals else 0)


def test_the_cpu_class_alone_succeeds_and_would_change_the_machine() -> None:
    alone = update.pyinfra("--limit", "cpu")
    assert alone.returncode == 0, alone.stderr
    plan = json.loads(alone.stdout)["plan"]
    changing = [each["name"] for each in plan if each["hosts_with_change"] == ["@fake/cpu-01"]]
    # Taking the lock is no change, a @fake machine has no kernel settings and serves nothing yet,
    # and its site has neither tokens nor peers nor a backup.
    unchanged = {
        "Lock this machine",
        "Backup | Put back keys, certificates and data",
        "Base | Apply the kernel settings",
        "Chat page | Disable the chat page",
        "Firewall | Remove the firewall",
        "Gateway | Disable the gateway",
        "Monitoring | Remove the monitoring",
        "Peers | Disable weight sharing",
        "Services | Stop retired services",
        "Weights | Write the access tokens of the hubs",
    }
    assert {each["name"] for each in plan} - set(changing) == unchanged
