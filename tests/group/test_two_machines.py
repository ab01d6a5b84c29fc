"""Two machines serve one model by vLLM: they answer, and whatever breaks they answer again.

Each test goes on where the one before it has stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.group_machines import PYZ, GroupMachines, put, put_program, wait
from tests.e2e.rack import Rack
from tests.lab import Lab, Machine, surroundings, tiny_folder
from tests.lab.tiny_model import ANSWER
from tests.lab.tree import cache_root

# PyTorch's wheels for CPUs are on no package index: see tests/e2e/test_vllm.py.
DATA = """
from dataclasses import replace as _with
from pathlib import Path
_wheels = {wheels!r}
site = _with(
    site,
    fabric={network!r},
    secrets=Path(__file__).parents[2] / "secrets",
    mirrors=_with(site.mirrors, **({{"pytorch": _wheels}} if _wheels else {{}})),
)
_tiny = _with(
    profile.services[0],
    name="tiny-vllm",
    engine="vllm",
    port=8000,
    model="huggingface:modelrack-lab/tiny-qwen2",
    merge=None,
    machines=2,
)
profile = _with(profile, services=(_with(_tiny, {how}),))
del _wheels
"""
# Without a compiler, which would take most of each start. A pipeline needs its middle stage.
TENSOR = 'tensor_parallel=2, options={"enforce-eager": True}'
PIPELINE = 'pipeline_parallel=2, options={"compilation-config": {"mode": 2, "backend": "eager"}}'
UNIT = "vllm@tiny-vllm.service"
FILE = "/etc/modelrack/services/tiny-vllm.group.json"
SECRET = "/etc/modelrack/secrets/tiny-vllm.group"


@dataclass(frozen=True)
class Site:
    """Two machines of a group, and one that was not asked."""

    rack: Rack
    group: GroupMachines
    stranger: Machine


@pytest.fixture(scope="module")
def site(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Site]:
    tiny_folder.publish(lab_hub.root)
    kept = cache_root().parent / "uv"
    kept.mkdir(exist_ok=True)
    lab: Lab = lab_factory(3, name="group", binds=(f"{kept}:/var/cache/modelrack/uv",))
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    wheels = [
        str(folder) for folder in surroundings.folders_to_bind() if [*folder.glob("torch-*+cpu-*")]
    ]
    network = lab.host.rpartition(".")[0] + ".0/24"
    data = DATA.format(wheels=wheels[0] if wheels else None, network=network, how=TENSOR)
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("group"), data)
    *machines, third = lab.machines
    rack.point_to(machines, hub, github)
    yield Site(rack, GroupMachines(machines, UNIT, lambda: answers(machines[0])), third)


def answers(head: Machine) -> bool:
    """Whether the head says what the weights hold, to which each machine has a half."""
    question = {
        "model": "tiny-vllm",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0,
    }
    url = "http://127.0.0.1:8000/v1/chat/completions"
    ask = f"curl -s --max-time 20 {url} --json '{json.dumps(question)}'"
    return head.is_running() and ANSWER in head.ssh(ask, check=False).stdout


def test_a_deploy_has_both_serve_it(site: Site) -> None:
    run = site.rack.deploy("--json")
    assert run.code == 0, run.output
    assert "answers as tiny-vllm on http://127.0.0.1:8000" in run.stderr
    assert site.group.answers()
    for machine in site.group.machines:
        said = site.group.said(machine)
        # Measured with the engine's own PyTorch, before the engine was started.
        assert said.index("all-reduce over 2 nodes: ") < said.index("starting the engine")


def test_a_second_deploy_changes_nothing(site: Site) -> None:
    before = site.group.runs()
    run = site.rack.deploy("--json")
    assert run.code == 0, run.output
    assert run.changed == []
    assert site.group.runs() == before


def test_the_secret_is_in_no_log_and_no_record(site: Site) -> None:
    run = site.rack.deploy("-vvv", "--debug", "--diff")
    assert run.code == 0, run.output
    for machine in site.group.machines:
        secret = machine.ssh(f"cat {SECRET}").stdout.strip()
        assert len(secret) == 64
        assert secret not in run.output
        told = machine.ssh(
            "cat /var/lib/modelrack/state.json /var/lib/modelrack/engines/*/*.json;"
            f" journalctl --no-pager -o cat; systemctl show {UNIT};"
            " cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' ' '",
            check=False,
        ).stdout
        assert UNIT in told and secret not in told


def test_a_third_machine_that_was_not_asked_cannot_join(site: Site) -> None:
    group, third = site.group, site.stranger
    put_program(third)
    told = json.loads(group.machines[1].ssh(f"cat {FILE}").stdout)
    put(third, SECRET, group.machines[1].ssh(f"cat {SECRET}").stdout, mode="600")
    # All that the second has, but for its address.
    told["nodes"][1] = third.address
    put(third, FILE, json.dumps(told))
    before = group.runs()
    joined = third.ssh(
        f"timeout 15 python3 {PYZ} together --group {FILE} -- touch /joined; ls /joined",
        check=False,
    )
    assert "is not there: " in joined.stdout, joined.stdout
    assert "starting the engine" not in joined.stdout
    assert group.runs() == before and group.answers()


def test_a_worker_is_killed(site: Site) -> None:
    group, worker = site.group, site.group.machines[1]
    group.survives("worker killed", lambda: group.kill(worker, "VLLM::Worker"))


def test_the_head_is_killed(site: Site) -> None:
    group = site.group
    group.survives("head killed", lambda: group.kill(group.head, " together "))


def test_the_engine_of_the_head_is_killed(site: Site) -> None:
    group = site.group
    group.survives("head's engine killed", lambda: group.kill(group.head, "VLLM::EngineCor"))


def test_the_cable_is_cut(site: Site) -> None:
    group, second = site.group, site.group.machines[1]
    gone = f"rank 1 ({second.address}) is gone: nothing was heard of it"

    def mend() -> None:
        wait(lambda: gone in group.said(group.head), "the head does not notice")
        second.restore_link()

    group.survives("cable cut", second.cut_link, mend)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_machine_is_off_and_on(site: Site, rank: int) -> None:
    machine = site.group.machines[rank]
    site.group.survives(f"machine {rank} off and on", machine.kill, machine.start)


def test_it_is_as_it_was_deployed_and_then_a_pipeline(site: Site) -> None:
    again = site.rack.deploy("--json")
    assert again.code == 0, again.output
    assert again.changed == []
    site.rack.add(f"profile = _with(profile, services=(_with(_tiny, {PIPELINE}),))")
    run = site.rack.deploy("--json")
    assert run.code == 0, run.output
    settings = site.group.head.ssh("cat /etc/modelrack/services/tiny-vllm.yaml").stdout
    assert "pipeline-parallel-size: 2" in settings
    assert site.group.answers()
    assert site.rack.deploy("--json").changed == []


def test_a_worker_of_a_pipeline_is_killed(site: Site) -> None:
    group, worker = site.group, site.group.machines[1]
    group.survives("worker of a pipeline killed", lambda: group.kill(worker, "VLLM::Worker"))
