"""A started service is measured, has to be as fast as it should, and says why it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.rack import Rack
from tests.lab import Machine

UNIT = "llama-server@tiny.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/test.conf"
FIGURES = "/var/lib/modelrack/services/tiny.json"
FAILURES = "/var/lib/modelrack/failures"
# Files that are read after the service's own.
SETTINGS = {
    "calm": "THREADS=1",
    "large": "CTX_SIZE=5000000",
    "half": "CTX_SIZE=512",
    "odd": "FLASH_ATTN=maybe",
}
# One thread: two that wait for each other are as fast as whatever else the computer does lets them.
CALM = "EnvironmentFile=/etc/calm.env\n"
# What the server says comes at 8 kB a second, some 30 tokens; the kernel holds it back, so that is
# the same on a busy computer.
SLOW = "ip link set lo mtu 1500; tc qdisc add dev lo root tbf rate 64kbit burst 3000 limit 100000"
FAST = "tc qdisc del dev lo root; ip link set lo mtu 65536"
# Not at the second of a start that failed, but not after ten of them either.
SOON = "RestartSec=0.2\n"
# An engine that says that all is well when it ends.
ENDS_WELL = "ExecStart=\nExecStart=-/opt/modelrack/engines/llama.cpp/current/bin/llama-server\n"
# Our port is taken by somebody else after we looked, and just before the server starts.
THIEF = (
    "ExecStartPre=+-/usr/bin/systemd-run --unit=thief --quiet"
    " python3 -m http.server --bind 127.0.0.1 8080\nExecStartPre=/bin/sleep 1\n"
)


@pytest.fixture(scope="module")
def rack(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Rack]:
    lab = lab_factory(1, name="health")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("health"))
    machine = rack.machines[0]
    for name, setting in SETTINGS.items():
        machine.ssh(f"echo LLAMA_ARG_{setting} > /etc/{name}.env")
    drop_in(machine, CALM)
    first = rack.deploy("--json")
    assert first.code == 0, first.output
    assert "ms to the first token, then" in first.stderr
    yield rack


def drop_in(machine: Machine, settings: str) -> None:
    """What the next start of the service has, too."""
    machine.ssh(
        f"mkdir -p {DROP_IN.rpartition('/')[0]}; cat > {DROP_IN}; systemctl daemon-reload",
        stdin=f"[Service]\n{settings}",
    )


def figures(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.ssh(f"cat {FIGURES}").stdout)
    return found


def state_of(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.ssh("cat /var/lib/modelrack/state.json").stdout)
    return found


def test_the_figures_are_kept_and_the_state_says_where(rack: Rack) -> None:
    machine = rack.machines[0]
    (service,) = state_of(machine)["plan"]["services"]
    assert service["measured"] == FIGURES
    found = figures(machine)
    assert found["tokens_per_second"] > 0
    assert found["first_token_ms"] > 0
    assert (found["context"], found["tokens"]) == (512, 256)
    settings = machine.ssh("cat /etc/modelrack/services/tiny.env").stdout
    assert f"MODELRACK_DIGEST={found['digest']}\n" in settings


def test_what_is_measured_is_not_measured_again(rack: Rack) -> None:
    before = figures(rack.machines[0])
    again = rack.deploy("--json")
    assert again.code == 0, again.output
    assert again.changed == []
    assert figures(rack.machines[0]) == before


def test_the_context_that_the_server_reports_is_what_it_accepts(rack: Rack) -> None:
    machine = rack.machines[0]
    reported = figures(machine)["context"]

    def status(tokens: int) -> str:
        body = json.dumps({"prompt": [5] * tokens, "max_tokens": 1})
        return machine.ssh(
            "curl -s -o /dev/null -w '%{http_code}' --json @- http://127.0.0.1:8080/v1/completions",
            stdin=body,
        ).stdout

    assert status(reported - 1) == "200"
    assert status(reported + 1) == "400"


def test_a_slow_service_is_warned_of_or_fails(rack: Rack) -> None:
    machine = rack.machines[0]
    machine.ssh(f"{SLOW}; rm {FIGURES}")
    try:
        declare(rack, min_tokens_per_second=40)
        little = rack.deploy()
        assert little.code == 0, little.output
        assert "tiny.service is slow: one request alone gets" in little.output
        assert "and 40 are planned. Look whether something else uses" in little.output
        declare(rack, min_tokens_per_second=300)
        far = rack.deploy()
        assert far.code != 0
        assert "and 300 are planned, so it does not run as planned" in far.output
        assert 13 < figures(machine)["tokens_per_second"] < 40
        # It was measured, and that does not make it good.
        assert rack.deploy().code != 0
    finally:
        machine.ssh(FAST)
    healed = rack.deploy("--json")
    assert healed.code == 0, healed.output
    assert figures(machine)["tokens_per_second"] > 100
    assert rack.deploy("--json").operations[-2]["no_change"]


def declare(rack: Rack, min_tokens_per_second: float) -> None:
    """Give the service of the group data a floor."""
    with (rack.folder / "inventories/group_data/sandbox.py").open("a") as data:
        data.write(
            "\nprofile = replace(profile, services=tuple(\n"
            f"    replace(each, min_tokens_per_second={min_tokens_per_second}) for each in"
            " profile.services))\n"
        )


@pytest.mark.parametrize(
    ("settings", "evidence", "sentence"),
    [
        (
            THIEF,
            "couldn't bind HTTP server socket",
            "Another process has port 8080: stop it (ss -ltnp 'sport = :8080' names it)",
        ),
        (
            'Environment="LLAMA_ARG_CHAT_TEMPLATE={%% for m in messages %%}{{ m.content "\n',
            "chat template",
            "The chat template that comes with the model is missing or broken",
        ),
        # Said a while before systemd takes the start for failed, as by what ends its workers first.
        (
            "EnvironmentFile=/etc/odd.env\nExecStopPost=/bin/sleep 1.5\n",
            "unknown value for --flash-attn: 'maybe'",
            "The installed llama.cpp does not take a setting that it was given",
        ),
        (
            "EnvironmentFile=/etc/odd.env\n" + ENDS_WELL,
            "unknown value for --flash-attn: 'maybe'",
            "The installed llama.cpp does not take a setting that it was given",
        ),
        # A key-value cache of 2.5 million tokens, and no room for it.
        (
            "EnvironmentFile=/etc/large.env\nLimitAS=700M\n",
            "failed to allocate buffer for kv cache",
            "The KV cache does not fit: set a smaller context or parallel for the service",
        ),
        (
            "EnvironmentFile=/etc/half.env\n",
            "a request may take 256 tokens instead of 512",
            "set context=256 or less for the service",
        ),
    ],
    ids=[
        *("port taken", "chat template", "unknown setting", "unknown setting, ends well"),
        *("cache too large", "half the context"),
    ],
)
def test_a_failure_is_one_sentence(rack: Rack, settings: str, evidence: str, sentence: str) -> None:
    machine = rack.machines[0]
    machine.ssh(f"systemctl stop {UNIT}")
    drop_in(machine, CALM + SOON + settings)
    try:
        failed = rack.deploy()
    finally:
        drop_in(machine, CALM)
        machine.ssh(f"systemctl stop thief {UNIT}; systemctl reset-failed", check=False)
    assert failed.code != 0
    told = [line for line in failed.output.splitlines() if "] " in line]
    told = told[next(n for n, line in enumerate(told) if evidence in line) :]
    assert sentence in failed.output
    assert f"Its journal: journalctl -u {UNIT}" in failed.output
    assert len([line for line in told if "Error: " not in line]) <= 2, told
    healed = rack.deploy()
    assert healed.code == 0, healed.output


def test_one_that_is_stopped_on_purpose_stays_stopped(rack: Rack) -> None:
    machine = rack.machines[0]
    drop_in(machine, CALM + SOON)
    machine.ssh(f"systemctl stop {UNIT}; sleep 1")
    shown = machine.ssh(f"systemctl show -p ActiveState -p NRestarts {UNIT}").stdout
    assert shown.split() == ["NRestarts=0", "ActiveState=inactive"]
    machine.ssh(f"systemctl start {UNIT}")


@pytest.mark.parametrize(
    ("end", "result"), [("", "exit-code"), (ENDS_WELL, "start-limit-hit")], ids=["1", "0"]
)
def test_the_last_words_of_a_unit_that_failed_are_kept(rack: Rack, end: str, result: str) -> None:
    machine = rack.machines[0]
    machine.ssh(f"rm -rf {FAILURES}")
    drop_in(machine, CALM + SOON + "EnvironmentFile=/etc/odd.env\n" + end)
    given_up = f"for _ in $(seq 600); do systemctl is-failed -q {UNIT} && exit; sleep 0.1; done"
    for _ in range(7):
        machine.ssh(f"systemctl reset-failed {UNIT}; systemctl restart {UNIT}", check=False)
        machine.ssh(f"({given_up}; exit 1); sleep 1.1")
    shown = machine.ssh(f"systemctl show -p Result -p NRestarts {UNIT}").stdout
    # Five starts, and none more.
    assert sorted(shown.split()) == ["NRestarts=5", f"Result={result}"]
    kept = machine.ssh(f"ls {FAILURES}").stdout.split()
    assert len(kept) == 5
    assert all(name.startswith(f"{UNIT}-") for name in kept)
    last = machine.ssh(f"cat {FAILURES}/{kept[-1]}").stdout
    assert "unknown value for --flash-attn: 'maybe'" in last
    assert machine.ssh(f"stat -c %a {FAILURES} {FAILURES}/{kept[-1]}").stdout == "700\n600\n"
    assert "modelrack-failed" not in machine.ssh("systemctl --failed --no-legend").stdout
    drop_in(machine, CALM)
    healed = rack.deploy()
    assert healed.code == 0, healed.output
