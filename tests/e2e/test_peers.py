"""Machines that give each other what they have: one download for all, and nothing left behind."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deploys.rendering import render
from tests.e2e import alive, sharing
from tests.e2e.rack import Rack
from tests.lab import Lab, Machine, large_model, way_out
from tests.lab.hub import Hub
from tests.unit.rendering.render_examples import PLANS

SIZE = 96 << 20
# What every machine asks the hub for, whoever has it: the headers of six shards.
HEADS = 6 * 64 << 10


@dataclass(frozen=True)
class Shared:
    """Five machines, of which four are deployed to at first."""

    lab: Lab
    hub: Hub
    rack: Rack
    url: str

    def point_to(self, *machines: Machine) -> None:
        self.rack.point_to(list(machines), self.url, self.url)

    def forget(self, *machines: Machine) -> None:
        """Take the model away from these."""
        for machine in machines:
            machine.ssh(f"rm -rf {sharing.LEFT_BEHIND}")


@pytest.fixture(scope="module")
def shared(lab_factory, tmp_path_factory) -> Iterator[Shared]:
    lab = lab_factory(5, name="peer")
    root = tmp_path_factory.mktemp("hub")
    large_model.publish(root, SIZE)
    with Hub(root) as hub:
        url = hub.listen(lab.host)
        # The five of them and not the host.
        network = lab.host.rpartition(".")[0] + ".8/29"
        data = sharing.group_data(network)
        rack = Rack(lab, url, url, tmp_path_factory.mktemp("rack"), data)
        made = Shared(lab, hub, rack, url)
        made.point_to(*lab.machines[:4])
        assert rack.deploy(deploy="tests/e2e/deploys/peers.py").code == 0
        way_out.narrow(lab, "80mbit")
        yield made


def test_four_machines_take_it_from_the_hub_once(shared: Shared) -> None:
    shared.hub.requests.clear()
    run = shared.rack.deploy("--json", deploy=sharing.DEPLOY)
    assert run.code == 0, run.output
    assert sharing.sent(shared.hub).share <= 1.1
    parts = [sharing.fetched(machine) for machine in shared.rack.machines]
    assert len({part.files for part in parts}) == 1


def test_a_second_deploy_changes_nothing_and_asks_nobody(shared: Shared) -> None:
    shared.hub.requests.clear()
    run = shared.rack.deploy("--json", deploy=sharing.DEPLOY)
    assert run.code == 0, run.output
    assert run.changed == []
    assert sharing.sent(shared.hub).bytes == 0


def test_what_gives_the_weights_can_do_little_else(shared: Shared) -> None:
    machine = shared.lab.machines[0]
    score = machine.ssh("systemd-analyze security --no-pager modelrack-peer.service | tail -1")
    assert float(score.stdout.split(":")[1].split()[0]) <= 2.0
    assert machine.ssh("systemctl is-enabled nginx", check=False).stdout == "disabled\n"
    listening = machine.ssh("ss -Htlnp").stdout
    served = [line for line in listening.splitlines() if "nginx" in line]
    assert [line.split()[3] for line in served] == [f"{machine.address}:8788"]
    assert machine.ssh("ps -o user= -C nginx").stdout.split().count("root") == 0


def test_nginx_takes_addresses_of_either_kind(shared: Shared) -> None:
    """These machines have the older kind."""
    made = PLANS["peers of six"]
    assert made.peer
    _, configuration = render.peer(made, made.peer)
    listens = re.compile(r"listen \[\S+\]:8788;")
    assert listens.search(configuration.content)
    shared.lab.machines[0].ssh(
        "mkdir -p /tmp/peer && cat > /tmp/peer/conf && nginx -t -q -c /tmp/peer/conf",
        stdin=listens.sub("listen [::1]:8788;", configuration.content).replace(
            "/run/modelrack-peer", "/tmp/peer"
        ),
    )


def test_only_the_lab_is_served(shared: Shared) -> None:
    first, second = shared.lab.machines[:2]
    answer = "curl -s -o /dev/null -m 3 -w %{http_code}"
    url = f"http://{first.address}:8788"
    assert second.ssh(f"{answer} {url}/").stdout == "204"
    assert second.ssh(f"{answer} {url}/../../etc/passwd --path-as-is", check=False).stdout == "400"
    assert second.ssh(f"{answer} {url}/manifest.json").stdout == "404"
    assert second.ssh(f"{answer} -X PUT {url}/{'a' * 64}").stdout == "403"
    # The host is beside the machines and not among them: where the kernel lets systemd filter for a
    # unit it is not even answered, else refused.
    model = [entry for entry in shared.hub.entries(sharing.MODEL) if entry.is_large]
    assert second.ssh(f"{answer} -r 0-9 {url}/{model[0].sha256}").stdout == "206"
    for path in ("", "nothing", model[0].sha256, f"{model[0].sha256}.head"):
        outside = subprocess.run(
            [*answer.split(), f"{url}/{path}"], capture_output=True, text=True, check=False
        )
        assert outside.stdout in ("000", "403")


def test_whatever_is_killed_comes_back_by_itself(shared: Shared) -> None:
    first, second = shared.lab.machines[:2]
    ask = f"curl -s -o /dev/null -m 3 -w %{{http_code}} http://{first.address}:8788/"
    killed = alive.survives(
        first, "modelrack-peer", lambda: second.ssh(ask, check=False).stdout == "204"
    )
    assert {each.process for each in killed} == {"nginx"} and len(killed) > 1


def test_a_machine_that_comes_later_finds_them(shared: Shared) -> None:
    *others, late = shared.lab.machines
    shared.point_to(*others, late)
    shared.hub.requests.clear()
    run = shared.rack.deploy("--limit", late.name, deploy=sharing.DEPLOY)
    assert run.code == 0, run.output
    assert sharing.sent(shared.hub).bytes <= HEADS
    assert sharing.fetched(late).files == sharing.fetched(others[0]).files


def test_one_with_wrong_content_is_named_and_done_without(shared: Shared) -> None:
    *others, late = shared.lab.machines
    bad = others[0]
    shared.forget(late)
    # The data of every second MiB, other than it was.
    program = (
        "import os; f = os.open('/data/models/large/large.gguf', os.O_RDWR)\n"
        "for at in range(1 << 20, os.fstat(f).st_size, 2 << 20): os.pwrite(f, b'wrong', at)"
    )
    bad.ssh(["python3", "-c", program])
    run = shared.rack.deploy("--limit", late.name, deploy=sharing.DEPLOY)
    assert run.code == 0, run.output
    assert sharing.fetched(late).files == sharing.fetched(others[1]).files
    log = late.ssh("cat /var/lib/modelrack/jobs/fetch-large-*/log").stdout
    assert f"http://{bad.address}:8788 is not used any more: what it gave of" in log
    shared.forget(bad)


def test_one_that_loses_power_is_done_without(shared: Shared) -> None:
    machines = shared.lab.machines[:4]
    shared.forget(*machines, shared.lab.machines[4])
    shared.point_to(*machines)
    shared.hub.requests.clear()
    process = shared.rack.start(deploy=sharing.DEPLOY)
    deadline = time.monotonic() + 300
    while sharing.sent(shared.hub).share < 0.4:
        assert time.monotonic() < deadline, "nothing is fetched"
        time.sleep(0.05)
    machines[1].kill()
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 1, printed
    living = [machines[0], *machines[2:]]
    assert len({sharing.fetched(machine).files for machine in living}) == 1, printed
    # What it had asked the hub for and not given on has to be sent again.
    assert sharing.sent(shared.hub).share <= 1.5
    machines[1].start()
    shared.hub.requests.clear()
    again = shared.rack.deploy(deploy=sharing.DEPLOY)
    assert again.code == 0, again.output
    assert sharing.fetched(machines[1]).files == sharing.fetched(machines[0]).files
    assert sharing.sent(shared.hub).bytes <= HEADS


def test_off_leaves_nothing(shared: Shared) -> None:
    data = shared.rack.folder / "inventories/group_data/sandbox.py"
    data.write_text(data.read_text() + "\nsite = replace(site, peers=None)\n")
    run = shared.rack.deploy("--json", deploy=sharing.DEPLOY)
    assert run.code == 0, run.output
    changed = run.changed
    assert changed == ["Peers | Disable weight sharing"]
    machine = shared.rack.machines[0]
    assert "nginx" not in machine.ssh("ss -Htlnp").stdout
    assert machine.ssh("ls -A /data/models").stdout == "large\n"
    units = machine.ssh("systemctl list-units --all --no-legend 'modelrack-peer*'").stdout
    assert units == ""
    left = "ls -d /etc/modelrack/peer* /etc/systemd/system/modelrack-peer* 2>/dev/null"
    assert machine.ssh(left, check=False).stdout == ""
    assert json.loads(machine.ssh("cat /data/models/large/manifest.json").stdout)["merged"]
    second = shared.rack.deploy("--json", deploy=sharing.DEPLOY)
    assert second.changed == []
