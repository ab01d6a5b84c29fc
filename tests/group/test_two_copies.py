"""Two groups of two machines behind one gateway: each is upgraded, and no request fails."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.e2e.gateway_site import ENGINE, Site, chat
from tests.e2e.group_machines import put, set_up, wait
from tests.e2e.rack import Rack
from tests.lab import Lab, Machine, tiny_folder

DATA = """
from pathlib import Path
from deploys.planning.inputs.gateway import Gateway
_here = Path(__file__).parents[2]
site = replace(site, secrets=_here / "secrets", fabric={network!r})
profile = replace(
    profile,
    services=(
        replace(
            profile.services[0],
            engine="vllm",
            model="huggingface:modelrack-lab/tiny-qwen2",
            merge=None,
            machines=2,
        ),
    ),
    gateway=Gateway(host={host!r}, keys=_here / "keys.toml", also={also!r}, rate=60000, at_once=64),
)
"""
DRAINED = "profile = replace(profile, gateway=replace(profile.gateway, drained={!r}))"
# By the name of the planned one, as the port is its.
UNIT = "vllm@tiny.service"
# What answers where vLLM would, and what it would need the second machine for.
PROGRAM = "/usr/local/bin/openai_engine.py"
ENGINES = (f"/usr/bin/python3 {PROGRAM} 8080 tiny", "/bin/sleep 1000000")


@dataclass(frozen=True)
class Copies:
    """The gateway's site, and the machines of each group; the first answers."""

    site: Site
    groups: Sequence[Sequence[Machine]]
    secret: str

    def set_up(self, group: Sequence[Machine], digest: str) -> None:
        """Give all machines of a group the same, and start them."""
        nodes = [machine.address for machine in group]
        for rank, machine in enumerate(group):
            more = {"engine": ENGINES[rank], "secret": self.secret, "digest": digest, "unit": UNIT}
            set_up(machine, rank, nodes, **more)
        for machine in group:
            machine.ssh(f"systemctl restart {UNIT}")

    @staticmethod
    def starts(head: Machine) -> int:
        """How often its group came together."""
        said = head.ssh(f"journalctl -u {UNIT} -o cat --no-pager").stdout
        return said.count("all nodes are there")

    def drain(self, *machines: Machine) -> None:
        """Deploy the gateway with these out of use."""
        self.site.rack.add(DRAINED.format(tuple(machine.name for machine in machines)))
        run = self.site.start()
        assert run.code == 0, run.output


@pytest.fixture(scope="module")
def copies(lab_factory, lab_hub, tmp_path_factory) -> Iterator[Copies]:
    tiny_folder.publish(lab_hub.root)
    lab: Lab = lab_factory(4, name="copies")
    first, second, third, fourth = lab.machines
    hub = lab_hub.listen(lab.host)
    data = DATA.format(
        network=lab.host.rpartition(".")[0] + ".0/24",
        host=first.address,
        also=(first.name, third.name),
    )
    rack = Rack(lab, hub, hub, tmp_path_factory.mktemp("copies"), data)
    site = Site(rack, first, third, second)
    site.new_key("alice")
    run = rack.deploy("--json", deploy="tests/e2e/deploys/gateway.py")
    assert run.code == 0, run.output
    made = Copies(site, [[first, second], [third, fourth]], secrets.token_hex(32))
    for machine in lab.machines:
        put(machine, PROGRAM, ENGINE.read_text())
    for group in made.groups:
        made.set_up(group, "before")
    for group in made.groups:
        wait(lambda head=group[0]: site.up(head), f"{group[0].name} does not answer")
    yield made


def test_each_copy_is_upgraded_and_no_request_fails(copies: Copies) -> None:
    site = copies.site
    for group in copies.groups:
        site.engine(group[0], gap=0.01)
    clients = Clients(site)
    clients.start()
    wait(lambda: clients.answered > 20, "nobody is answered")
    for group in copies.groups:
        head = group[0]
        copies.drain(head)
        wait(lambda head=head: site.engine(head)["running"] == 0, "it does not end its answers")
        copies.set_up(group, "after")
        wait(lambda head=head: copies.starts(head) == 2, f"{head.name} does not start again")
        wait(lambda head=head: site.answers(head), f"{head.name} does not answer again")
        wait(lambda head=head: site.up(head), f"{head.name} is not found again")
        copies.drain()
        # It is used again.
        wait(lambda head=head: site.engine(head)["served"] > 0, f"{head.name} gets nothing")
    before = clients.answered
    wait(lambda: clients.answered > before + 20, "nobody is answered any more")
    clients.stop()
    assert clients.failed == []
    print(f"{clients.answered} requests were answered, none failed")


def test_a_group_that_loses_a_machine_is_left_out_until_it_is_whole(copies: Copies) -> None:
    site, (_, (third, fourth)) = copies.site, copies.groups
    fourth.kill()
    wait(lambda: not site.up(third), "the gateway does not notice")
    with site.http("alice") as client:
        for _ in range(10):
            assert client.post("/v1/chat/completions", json=chat()).status_code == 200
    fourth.start()
    wait(lambda: site.up(third), "it is not used again")


class Clients(threading.Thread):
    """Four who ask one question after the other, as openai-python does, without trying again."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self.answered = 0
        self.failed: list[str] = []
        self._site = site
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(4)]

    def run(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each of them have the answer that it waits for."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        client = self._site.openai("alice")
        while not self._over.is_set():
            try:
                *_, last = client.chat.completions.create(**chat(stream=True, max_tokens=20))
                assert last.usage and last.usage.completion_tokens == 20
                self.answered += 1
            except Exception as error:
                self.failed.append(repr(error))
