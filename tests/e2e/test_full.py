"""A bare machine answers, a second deploy changes nothing, and the machine itself proves it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.rack import Rack, Run, run
from tests.lab.tiny_model import ANSWER


@pytest.fixture(scope="module")
def deployed(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[tuple[Rack, Run]]:
    lab = lab_factory(1, name="full")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("full"))
    yield rack, rack.deploy("--json")


def test_a_bare_machine_becomes_a_model_server(deployed: tuple[Rack, Run]) -> None:
    _, first = deployed
    assert first.code == 0, first.output
    assert "answers as tiny on http://127.0.0.1:8080" in first.stderr


def test_the_machine_proves_it(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    proof = run(
        [sys.executable, "-m", "pytest", "-q", "tests/machine", "--inventory", rack.inventory]
    )
    assert proof.code == 0, proof.output
    assert " passed" in proof.stdout


def test_the_answer_is_what_the_weights_say(deployed: tuple[Rack, Run]) -> None:
    machine = deployed[0].machines[0]
    reply = machine.ssh(
        "curl -s http://127.0.0.1:8080/v1/chat/completions --json"
        """ '{"messages": [{"role": "user", "content": "Hello"}], "temperature": 0}'"""
    )
    assert ANSWER in reply.stdout


def test_a_second_deploy_changes_nothing(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    before = _life_of(machine)
    second = rack.deploy("--json", "--debug")
    assert second.code == 0, second.output
    changed = [entry["name"] for entry in second.operations if not entry["no_change"]]
    assert changed == []
    assert _life_of(machine) == before
    assert second.commands <= 40


def test_a_dry_run_sees_no_change_either(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    command = [argument for argument in rack.command("--dry", "--json") if argument != "-y"]
    dry = run(command)
    assert dry.code == 0, dry.output
    assert '"hosts_with_change": ["' not in dry.stdout


def test_drift_is_put_right(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    machine.ssh("sed -i s/PORT=8080/PORT=9999/ /etc/modelrack/services/tiny.env")
    machine.ssh("systemctl restart llama-server@tiny")
    machine.ssh("rm /opt/modelrack/engines/llama.cpp/current")
    again = rack.deploy("--json")
    assert again.code == 0, again.output
    changed = [entry["name"] for entry in again.operations if entry["success"]]
    assert len(changed) == 1, changed
    assert rack.deploy("--json").operations[-1]["no_change"]


def test_damaged_weights_are_not_served(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    machine.ssh("printf x >> /data/models/tiny-qwen2/tiny-qwen2-F16.gguf")
    machine.ssh("systemctl restart llama-server@tiny", check=False)
    machine.ssh("sleep 1")
    assert machine.ssh("systemctl is-active llama-server@tiny", check=False).stdout != "active\n"
    again = rack.deploy("--json")
    assert again.code == 0, again.output
    assert machine.ssh("systemctl is-active llama-server@tiny").stdout == "active\n"


def _life_of(machine) -> str:
    """When the service was started, and how often systemd was told to read its units again."""
    started = machine.ssh(
        "systemctl show llama-server@tiny -p ActiveEnterTimestamp -p NRestarts -p MainPID"
    ).stdout
    reloads = machine.ssh("journalctl -q --no-pager _PID=1 | grep -ci 'reloading' || true").stdout
    return started + reloads


def test_the_first_machine_compiles_for_all(make_rack: Callable[..., Rack]) -> None:
    """The packed build is on this computer now, so a new machine of the same kind gets it."""
    rack = make_rack(1)
    first = rack.deploy("--json")
    assert first.code == 0, first.output
    assert rack.machines[0].ssh("command -v cmake", check=False).stdout == ""
