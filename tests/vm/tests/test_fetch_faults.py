"""A disk that fills up, a disk that fails, a link that loses packets, under a fetch of weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.e2e import sharing
from tests.e2e.rack import Rack, Run
from tests.lab import large_model
from tests.lab.hub import Hub
from tests.vm import cuts
from tests.vm.disk_machine import DiskLab, DiskMachine

DEPLOY = "tests/e2e/deploys/weights_only.py"
FOLDER = "/data/models/large"
SIZE = 12 << 20
# Bytes a second and stream of a hub that leaves time for something to happen.
RATE = 60_000
# Takes all of a disk but the last 64 KiB, by files that are holes nobody else can fill.
FILL = """
mkdir /fill; cd /fill
for size in 1G 256M 64M 16M 4M 1M 256K 64K; do
  while fallocate -l $size $size-$((number += 1)) 2>/dev/null; do :; done; rm -f $size-$number
done
df --output=avail -B1 / | tail -1
"""
NO_ROOM = r"need .* which has .* free. Free .* there"


@dataclass(frozen=True)
class Place:
    """Machines that fetch one model of noise, and the hub that has it."""

    lab: DiskLab
    rack: Rack
    hub: Hub

    def machine(self, name: str) -> DiskMachine:
        """One with all but the model, which the rack deploys to from now on."""
        (machine,) = self.lab.add(name)
        assert isinstance(machine, DiskMachine)
        self.rack.point_to([machine], self.rack.told["hub"], self.rack.told["hub"])
        self.hub.faults.clear()
        self.hub.requests.clear()
        done = self.rack.deploy(deploy="deploys.stages.base.install")
        assert done.code == 0, done.output
        return machine

    def deploy(self) -> Run:
        return self.rack.deploy(deploy=DEPLOY)

    def midway(self, happens: Callable[[], object]) -> str:
        """What a run says when it fails, as something happens with a third of the model there."""
        self.hub.faults.add("slow", "*.gguf", rate=RATE)
        process = self.rack.start(deploy=DEPLOY)
        while sharing.sent(self.hub).share < 0.3:
            assert process.poll() is None, process.communicate()[0]
        happens()
        self.hub.faults.clear()
        output, _ = process.communicate()
        assert process.returncode != 0, output
        assert "Traceback" not in output, output
        return output

    def converges(self, machine: DiskMachine) -> None:
        done = self.deploy()
        assert done.code == 0, done.output
        sharing.fetched(machine)
        self.lab.forget(machine)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("hub")
    large_model.publish(root, SIZE)
    with DiskLab(0, name="faults") as lab, Hub(root) as hub:
        url, folder = hub.listen(lab.host), tmp_path_factory.mktemp("rack")
        yield Place(lab, Rack(lab, url, url, folder, sharing.group_data(None, merge=False)), hub)


def test_the_disk_fills_up(place: Place) -> None:
    machine = place.machine("fills")
    said = place.midway(lambda: machine.ssh(FILL))
    assert re.search(r"no space left on .*: make room and run again", said), said
    # Not even what is to be fetched can be noted there now.
    refused = place.deploy()
    assert refused.code != 0
    assert re.search(r"could not be written: .*No space left|" + NO_ROOM, refused.output), (
        refused.output
    )
    machine.ssh("rm -r /fill")
    place.converges(machine)


def test_the_disk_is_full_before_anything_is_there(place: Place) -> None:
    machine = place.machine("full")
    assert int(machine.ssh(FILL).stdout) < 1 << 20
    refused = place.deploy()
    assert refused.code != 0
    assert re.search(NO_ROOM, refused.output), refused.output
    machine.ssh("rm -r /fill")
    place.converges(machine)


def test_the_disk_fails(place: Place) -> None:
    machine = place.machine("fails")
    machine.stop()
    machine.kill()
    disk = machine.add_disk("/data", 64 << 20)
    machine.start()
    claimed: dict[str, list[list[int]]] = {}

    def fail() -> None:
        while not claimed:
            claimed.update(cuts.safe(machine, FOLDER))
        disk.pull()

    said = place.midway(fail)
    assert re.search(r"the disk of /data/models/large fails: Input/output error", said), said
    # The same disk, read by a machine that has been switched on again.
    machine.kill()
    machine.start()
    kept = cuts.safe(machine, FOLDER)
    for key, ranges in claimed.items():
        assert all(
            any(at <= begin and end <= to for at, to in kept.get(key, [])) for begin, end in ranges
        ), (claimed, kept)
    place.converges(machine)


def test_the_link_is_slow_and_loses_packets(place: Place) -> None:
    machine = place.machine("lossy")
    machine.slow_link("8mbit")
    machine.lossy_link(3)
    place.converges(machine)
