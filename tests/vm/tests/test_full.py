"""A deploy makes a bare machine with a kernel of its own answer, and a reboot does not end that."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.e2e.rack import Rack, Run
from tests.lab.tiny_model import ANSWER
from tests.vm.lab import VmLab
from tests.vm.machine import VirtualMachine


@pytest.fixture(scope="module", params=["bookworm"])
def deployed(
    request: pytest.FixtureRequest,
    make_rack: Callable[..., tuple[VmLab, Rack]],
    compiled: Callable[[VirtualMachine, str], None],
) -> tuple[VirtualMachine, Rack, Run]:
    lab, rack = make_rack(1, name="full", suite=request.param)
    compiled(lab.vms[0], request.param)
    return lab.vms[0], rack, rack.deploy("--json")


def test_a_bare_machine_becomes_a_model_server(
    deployed: tuple[VirtualMachine, Rack, Run],
) -> None:
    _, rack, first = deployed
    assert first.code == 0, first.output
    assert ANSWER in rack.ask()


def test_a_second_deploy_changes_nothing(deployed: tuple[VirtualMachine, Rack, Run]) -> None:
    again = deployed[1].deploy("--json")
    assert again.code == 0, again.output
    assert again.changed == []


def test_it_answers_again_after_a_reboot(deployed: tuple[VirtualMachine, Rack, Run]) -> None:
    machine, rack, _ = deployed
    machine.reboot()
    deadline = time.monotonic() + 900
    while ANSWER not in rack.ask():
        assert time.monotonic() < deadline, machine.ssh("systemctl --failed; journalctl -b").stdout
        time.sleep(1)
    assert machine.ssh("systemctl --failed --plain --no-legend").stdout == ""
    again = rack.deploy("--json")
    assert again.code == 0, again.output
    assert again.changed == []
