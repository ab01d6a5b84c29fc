"""Machines in waves: it stops at the first that fails, says who is left, and goes on from there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import pytest

from tests.e2e.rack import Rack, Run, run
from tests.lab import Machine

DEPLOY = "tests/e2e/deploys/mark.py"
TOGETHER = """
profile = replace(
    profile, services=(replace(profile.services[0], engine="vllm", merge=None, machines=2),)
)
"""


@pytest.fixture(scope="module")
def rack(lab_factory, lab_hub, tmp_path_factory) -> Iterator[Rack]:
    lab = lab_factory(4, name="roll")
    hub = lab_hub.listen(lab.host)
    yield Rack(lab, hub, hub, tmp_path_factory.mktemp("roll"))


def roll(rack: Rack, *options: str) -> Run:
    return run([sys.executable, "-m", "deploys.roll", rack.inventory, DEPLOY, *options])


def marked(machines: Sequence[Machine]) -> list[bool]:
    return [not machine.ssh("test -f /etc/mark", check=False).returncode for machine in machines]


def test_it_stops_at_the_first_that_fails_and_goes_on_from_there(rack: Rack) -> None:
    first, second, third, fourth = rack.machines
    second.ssh("mkdir -p /etc/mark/folder")
    stopped = roll(rack, "--waves", "1,50%,100%")
    assert stopped.code == 1, stopped.output
    assert f"Wave 1 of 3: {first.name}\n" in stopped.stdout
    left = f"Wave 2 failed, see above. 2 machines were not touched: {third.name}, {fourth.name}."
    assert left in stopped.stderr
    assert marked(rack.machines) == [True, False, False, False]
    # As it is said.
    again = stopped.stderr.rpartition("go on with: python -m deploys.roll ")[2].split()
    assert again == [rack.inventory, DEPLOY, "--waves", "1,50%,100%", "--after", first.name]
    second.ssh("rm -r /etc/mark")
    done = roll(rack, *again[2:])
    assert done.code == 0, done.output
    assert f"Wave 1 of 2: {second.name}\n" in done.stdout
    assert f"Wave 2 of 2: {third.name}, {fourth.name}\n" in done.stdout
    assert "All 3 machines are done" in done.stdout
    assert marked(rack.machines) == [True] * 4


def test_the_first_wave_that_fails_touches_no_other(rack: Rack) -> None:
    for machine in rack.machines:
        machine.ssh("rm -r /etc/mark")
    rack.machines[0].ssh("mkdir -p /etc/mark/folder")
    stopped = roll(rack)
    assert stopped.code == 1, stopped.output
    assert "3 machines were not touched" in stopped.stderr and "--after" not in stopped.stderr
    assert marked(rack.machines) == [False] * 4
    rack.machines[0].ssh("rm -r /etc/mark")


def test_machines_that_serve_together_are_in_one_wave(rack: Rack) -> None:
    first, second, third, fourth = rack.machines
    rack.add(TOGETHER)
    done = roll(rack, "--", "--dry")
    assert done.code == 0, done.output
    assert f"Wave 1 of 2: {first.name}, {second.name}\n" in done.stdout
    assert f"Wave 2 of 2: {third.name}, {fourth.name}\n" in done.stdout
    assert marked(rack.machines) == [False] * 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--", "--limit", "roll1"], "are what the waves are made with"),
        (["--", "--serial"], "are what the waves are made with"),
        (["--waves", "some"], "is no number of hosts"),
        (["--after", "roll9"], "There is no host roll9"),
        (["--after", "roll4"], "Nothing comes after roll4"),
    ],
)
def test_what_cannot_be_is_refused_before_any_machine_is_touched(
    rack: Rack, options: list[str], said: str
) -> None:
    refused = roll(rack, *options)
    assert refused.code == 1 and "refused: " in refused.stderr and said in refused.stderr
    assert "Wave" not in refused.output
