"""A disk that fills up, a disk that fails, a link that loses packets, under a fetch of weights."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.e2e import sharing
from tests.vm import cuts
from tests.vm.fetching import DEPLOY, FOLDER, Fetching

# Bytes a second and stream of a hub that leaves time for something to happen.
RATE = 60_000
# Takes all of a disk but the last 64 KiB, by files that are holes nobody else can fill.
FILL = """
mkdir /fill; cd /fill
for size in 4G 1G 256M 64M 16M 4M 1M 256K 64K; do
  while fallocate -l $size $size-$((number += 1)) 2>/dev/null; do :; done; rm -f $size-$number
done
df --output=avail -B1 / | tail -1
"""
# A disk of its own for models, behind a device that can be told to fail.
FAILING = """
set -eu
DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends dmsetup >/dev/null
truncate -s 64M /disk
loop=$(losetup --find --show /disk)
dmsetup create bad --table "0 131072 linear $loop 0"
mkfs.ext4 -q /dev/mapper/bad
mkdir -p /data
mount /dev/mapper/bad /data
"""
RELOAD = """
set -eu
loop=$(losetup --noheadings --output NAME --associated /disk)
dmsetup suspend --noflush --nolockfs bad
dmsetup reload bad --table "0 131072 {how}"
dmsetup resume bad
"""
# Up for no second, down for an hour.
FAILS = "flakey $loop 0 0 3600"
WORKS = "linear $loop 0"
# What it is sent passes a device of its own, as netem holds up what leaves.
LOSSY = """
set -eu
modprobe ifb numifbs=1
modprobe sch_netem
ip link set ifb0 up
card=$(ip -o route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/')
tc qdisc add dev $card ingress
tc filter add dev $card parent ffff: matchall action mirred egress redirect dev ifb0
for each in $card ifb0; do
  tc qdisc add dev $each root netem delay 50ms 20ms loss 3% reorder 5% rate 8mbit
done
"""


def test_the_disk_fills_up(fetching: Fetching) -> None:
    machine = fetching.machine("fills")
    assert int(_midway(fetching, lambda: machine.ssh(FILL).stdout)) < 1 << 20
    run = fetching.rack.deploy(deploy=DEPLOY)
    assert run.code != 0
    assert re.search(r"need .* which has .* free. Free .* there", run.output), run.output
    machine.ssh("rm -r /fill")
    fetching.converges(machine)
    fetching.lab.forget(machine)


def test_the_disk_is_full_before_anything_is_there(fetching: Fetching) -> None:
    machine = fetching.bare("full")
    assert int(machine.ssh(FILL).stdout) < 1 << 20
    run = fetching.rack.deploy(deploy=DEPLOY)
    assert run.code != 0
    assert re.search(r"need .* which has .* free. Free .* there", run.output), run.output
    machine.ssh("rm -r /fill")
    fetching.converges(machine)
    fetching.lab.forget(machine)


def test_the_disk_fails(fetching: Fetching) -> None:
    machine = fetching.machine("fails")
    machine.ssh(FAILING)
    claimed = {}

    def fail() -> None:
        claimed.update(cuts.safe(machine, FOLDER))
        machine.ssh(RELOAD.format(how=FAILS))

    _midway(fetching, fail)
    # Neither a file that is whole nor a manifest that says so.
    assert claimed
    machine.ssh("umount /data", check=False)
    machine.ssh(RELOAD.format(how=WORKS))
    machine.ssh("umount /data; fsck.ext4 -p /dev/mapper/bad; test $? -le 1")
    machine.ssh("mount /dev/mapper/bad /data")
    kept = cuts.safe(machine, FOLDER)
    for key, ranges in claimed.items():
        assert all(
            any(at <= begin and end <= to for at, to in kept.get(key, [])) for begin, end in ranges
        ), (claimed, kept)
    again = fetching.rack.deploy(deploy=DEPLOY)
    assert again.code == 0, again.output
    sharing.fetched(machine)
    fetching.lab.forget(machine)


def test_the_link_is_slow_and_loses_packets(fetching: Fetching) -> None:
    machine = fetching.machine("lossy")
    machine.ssh(LOSSY)
    fetching.converges(machine)
    assert "dropped 0," not in machine.ssh("tc -s qdisc show dev ifb0 | grep dropped").stdout
    fetching.lab.forget(machine)


def _midway(fetching: Fetching, happens: Callable[[], str | None]) -> str:
    """Deploy, let something happen when a third of the model is there, and see the run fail."""
    fetching.hub.faults.add("slow", "*.gguf", rate=RATE)
    process = fetching.rack.start(deploy=DEPLOY)
    while sharing.sent(fetching.hub).share < 0.3:
        assert process.poll() is None, process.communicate()[0]
    said = happens()
    fetching.hub.faults.clear()
    output, _ = process.communicate()
    assert process.returncode != 0, output
    assert "Traceback" not in output, output
    return said or ""
