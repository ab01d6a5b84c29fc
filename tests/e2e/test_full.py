"""A bare machine answers, a second deploy changes nothing, and the machine itself proves it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import pytest

from deploys.planning.engines.software import PROGRAMS
from deploys.planning.hardware.numa import HostMemory
from deploys.rendering.templates import text
from tests.e2e import gate
from tests.e2e.rack import Rack, Run, run
from tests.lab.hub import Hub
from tests.lab.tiny_model import ANSWER

QUESTION = '{"messages": [{"role": "user", "content": "Hello"}], "temperature": 0}'


# How answers are drawn, and two more settings of llama.cpp: one has no variable, and one is words
# in quotes on the way to it.
SAID = """\
profile = replace(
    profile,
    services=tuple(
        replace(
            service,
            sampling={"top_k": 20, "temperature": 0.6},
            options={"seed": 7, "samplers": "top_k;temperature"},
        )
        for service in profile.services
    ),
)
"""


@pytest.fixture(scope="module")
def deployed(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[tuple[Rack, Run]]:
    lab = lab_factory(1, name="full")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("full"), SAID)
    # As bare as a machine can be: apt does not even know what there is.
    rack.machines[0].ssh("rm -r /var/lib/apt/lists/*")
    yield rack, rack.deploy("--json")


def test_a_bare_machine_becomes_a_model_server(deployed: tuple[Rack, Run]) -> None:
    _, first = deployed
    assert first.code == 0, first.output
    assert "answers as tiny on http://127.0.0.1:8080" in first.stderr


def test_the_server_draws_answers_as_it_was_told(deployed: tuple[Rack, Run]) -> None:
    machine = deployed[0].machines[0]
    reply = machine.ssh(["curl", "-s", "http://127.0.0.1:8080/props"]).stdout
    drawn = json.loads(reply)["default_generation_settings"]["params"]
    assert (drawn["top_k"], round(drawn["temperature"], 3), drawn["seed"]) == (20, 0.6, 7)
    assert drawn["samplers"] == ["top_k", "temperature"]
    # So says the gate, too, and it would say if it were not so.
    for temperature, answer in (
        (0.6, "ok"),
        (0.8, "it draws answers with temperature 0.6 instead of 0.8"),
    ):
        wanted = {"top_k": 20, "temperature": temperature}
        assert gate.says(machine, "llama-server@tiny.service", 8080, "tiny", wanted) == answer
    # Not with systemd's complaint of a variable that is not set.
    journal = machine.ssh("journalctl -u llama-server@tiny").stdout
    assert "MODELRACK_OPTIONS" not in journal


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
        ["curl", "-s", "http://127.0.0.1:8080/v1/chat/completions", "--json", QUESTION]
    )
    assert ANSWER in reply.stdout


# The same model as it was written, as shards, as llama.cpp's own tool merges them, and as we do.
FORMS = """\
set -eu
tools=/opt/modelrack/engines/llama.cpp/current/bin
cd "$(mktemp -d)"
for number in 1 2 3; do
  curl -sfO "$1/tiny-qwen2-gguf/resolve/main/tiny-qwen2-F16-0000$number-of-00003.gguf"
done
curl -sfo whole.gguf "$1/tiny-qwen2-whole-gguf/resolve/main/tiny-qwen2-F16.gguf"
shard=tiny-qwen2-F16-00001-of-00003.gguf
$tools/llama-gguf-split --merge $shard theirs.gguf >&2
python3 /opt/modelrack/bin/modelrack.pyz weights merge $shard joined/ours.gguf >&2
cmp theirs.gguf joined/ours.gguf
cmp theirs.gguf /data/models/tiny-qwen2/tiny-qwen2-F16.gguf
for model in whole.gguf $shard theirs.gguf joined/ours.gguf; do
  $tools/llama-server --model $model --port 8099 --ctx-size 512 >server.log 2>&1 &
  curl -sfo /dev/null --retry 60 --retry-delay 1 --retry-all-errors http://127.0.0.1:8099/health
  curl -s http://127.0.0.1:8099/v1/chat/completions --json "$2" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["choices"][0]["message"]["content"])'
  kill $!
  wait $! || true
done
"""


def test_every_form_of_a_model_says_the_same(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    models = f"{rack.told['hub']}/modelrack-lab"
    said = rack.machines[0].ssh(["sh", "-c", FORMS, "sh", models, QUESTION]).stdout.splitlines()
    assert said == [ANSWER] * 4


def test_a_second_deploy_changes_nothing(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    before = _life_of(machine)
    second = rack.deploy("--json", "--debug")
    assert second.code == 0, second.output
    assert second.changed == []
    assert _life_of(machine) == before
    assert second.commands <= 40


def test_a_dry_run_sees_no_change_either(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    command = [argument for argument in rack.command("--dry", "--json") if argument != "-y"]
    dry = run(command)
    assert dry.code == 0, dry.output
    assert '"hosts_with_change": ["' not in dry.stdout


ADDITION = "/etc/systemd/system/llama-server@tiny.service.d/memory.conf"
POLICIES = {
    "interleave:0": HostMemory(mapped=False, policy="interleave", nodes=(0,)),
    "bind:0": HostMemory(mapped=False, policy="bind", nodes=(0,)),
    "default": HostMemory(policy="first touch"),
}


def test_systemd_has_memory_go_where_it_is_told(deployed: tuple[Rack, Run]) -> None:
    """The machine has one node, so this is what a machine with several would be told."""
    machine = deployed[0].machines[0]
    process = "/proc/$(systemctl show --value --property=MainPID llama-server@tiny)"
    assert ".gguf" not in machine.ssh(f"cat {process}/maps").stdout
    for policy, memory in POLICIES.items():
        content = text("llama.cpp/memory.conf", memory=memory, programs=PROGRAMS)
        machine.ssh(["sh", "-c", f"cat > {ADDITION}"], stdin=content)
        machine.ssh("systemctl daemon-reload && systemctl restart llama-server@tiny")
        maps = machine.ssh(f"cat {process}/numa_maps").stdout
        assert policy in {line.split()[1] for line in maps.splitlines()}, maps[:2000]
    assert "left the page cache" in machine.ssh("journalctl -u llama-server@tiny").stdout


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
    assert "ExecStartPre" not in machine.ssh(f"cat {ADDITION}").stdout
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


RESTORED = """\
set -eu
systemctl stop llama-server@tiny
cd /data
tar -cf /data/backup.tar models
mv models before
tar -xf backup.tar
# Only now, so that no file comes back under its old inode.
rm -r backup.tar before
"""
SPOIL = """\
set -eu
cp -a /data/models/tiny-qwen2 /data/copy
rm -rf /data/models/tiny-qwen2
mv /data/copy /data/models/tiny-qwen2
printf x | dd of=/data/models/tiny-qwen2/tiny-qwen2-F16.gguf bs=1 seek=220000 conv=notrunc
"""


def test_restored_weights_are_proven_again(deployed: tuple[Rack, Run], lab_hub: Hub) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    verify = "python3 /opt/modelrack/bin/modelrack.pyz weights verify /data/models/tiny-qwen2"
    # By a start, as after a restore and a boot, and by a deploy, as onto a new disk.
    for way in ("systemctl start llama-server@tiny", ""):
        machine.ssh(RESTORED)
        assert machine.ssh(verify, check=False).returncode == 1
        machine.ssh(way or "true")
        lab_hub.requests.clear()
        again = rack.deploy("--json")
        assert again.code == 0, again.output
        assert [each for each in lab_hub.requests if each.name.endswith(".gguf")] == []
        assert ("Weights | Fetch and verify the models" in again.changed) == (not way)
        machine.ssh(verify)
    assert rack.deploy("--json").changed == []


def test_a_copy_with_one_other_byte_is_mended_and_not_served(
    deployed: tuple[Rack, Run], lab_hub: Hub
) -> None:
    rack, _ = deployed
    machine = rack.machines[0]
    # Where it is started again before it is mended, and where it has run on from what was there.
    for start in (True, False):
        before = _life_of(machine)
        machine.ssh(SPOIL)
        if start:
            machine.ssh("systemctl restart llama-server@tiny", check=False)
            state = machine.ssh("systemctl is-active llama-server@tiny", check=False).stdout
            assert state != "active\n"
        lab_hub.requests.clear()
        again = rack.deploy("--json")
        assert again.code == 0, again.output
        asked = {each.name for each in lab_hub.requests if each.name.endswith(".gguf")}
        assert len(asked) == 1, asked
        assert machine.ssh("systemctl is-active llama-server@tiny").stdout == "active\n"
        assert _life_of(machine) != before
        assert ANSWER in rack.ask()
    assert rack.deploy("--json").changed == []


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
