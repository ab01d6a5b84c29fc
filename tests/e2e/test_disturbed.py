"""Machines that die, links that break, and two operators at once."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import stub
from tests.e2e.rack import Rack, read_until
from tests.lab import Lab, Layer
from tests.lab.github import GitHub

BUILD = "tests/e2e/deploys/build.py"
TOOLCHAIN = "cmake gcc libc6-dev ninja-build"
# Leaves a package as a power cut does while it is unpacked: dpkg dies once it has noted that.
HALF_UNPACKED = """
set -eu
cd /run
printf '%s\\n' '#!/bin/sh' '[ "$1" = --fsys-tarfile ] && kill -9 $PPID' \\
  'exec /usr/bin/dpkg-deb "$@"' > dpkg-deb
chmod 755 dpkg-deb
apt-get download -q libgomp1
dpkg --purge libgomp1
PATH=/run:$PATH dpkg --install libgomp1*.deb || dpkg-query --show -f '${Status}' libgomp1
"""


@pytest.fixture(scope="module")
def with_toolchain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layer]:
    """What machines boot from that have a compiler, so that no test waits for apt."""
    with Lab(1, name="toolchain") as lab:
        machine = lab.machines[0]
        machine.ssh(f"apt-get update -q && apt-get install -yq --no-install-recommends {TOOLCHAIN}")
        machine.stop()
        yield lab.snapshot(machine)


@pytest.fixture
def make_stub_rack(
    make_rack: Callable[..., Rack], with_toolchain: Layer, tmp_path: Path
) -> Iterator[Callable[..., Rack]]:
    """A rack whose deploy compiles the stub, which waits; never from the cache."""
    with GitHub(tmp_path / "github") as github:

        def make(machines: int) -> Rack:
            archive = stub.publish(tmp_path / "github", waits=True)
            rack = make_rack(
                machines,
                layer=with_toolchain,
                extra=f"{archive.data}\nsite = replace(site, builds=_folder / 'builds',"
                " mirrors=replace(site.mirrors, github=_lab['stub_github']))",
            )
            gateway = rack.machines[0].address.rsplit(".", 1)[0] + ".1"
            rack.tell(stub_github=github.listen(gateway))
            return rack

        yield make


def test_one_of_three_dies_during_an_upload(make_rack: Callable[..., Rack]) -> None:
    rack = make_rack(3)
    dying = rack.machines[1]
    dying.slow_link("30mbit")
    process = rack.start()
    printed = read_until(process, "Starting operation: .*Install uv")
    time.sleep(3)
    dying.kill()
    # Where nothing is kept yet, another test compiles llama.cpp first: 12 minutes on slow cores.
    printed += process.communicate(timeout=1800)[0]
    assert process.returncode == 1, printed
    assert f"{dying.name} failed in: Base | Install uv" in printed, printed
    for machine in (rack.machines[0], rack.machines[2]):
        assert f"[{machine.name}] llama-server@tiny.service answers" in printed
    dying.restore_link()
    dying.start()
    assert "reinstreq half-installed" in dying.ssh(HALF_UNPACKED).stdout
    again = rack.deploy("--json")
    assert again.code == 0, again.output
    assert dying.ssh("dpkg --audit").stdout == ""
    upload = next(entry for entry in again.operations if "Install uv" in entry["name"])
    assert upload["success"] == [dying.name]
    assert sorted(upload["no_change"]) == sorted(m.name for m in rack.machines if m is not dying)


def test_one_of_three_dies_during_a_job(make_stub_rack: Callable[..., Rack]) -> None:
    rack = make_stub_rack(3)
    process = rack.start(deploy=BUILD)
    printed = read_until(process, r"\[(\S+)\] build-stub-\S+: step")
    name = re.findall(r"\[(\S+?)\] build-stub-\S+: step", printed)[-1]
    dying = next(machine for machine in rack.machines if machine.name == name)
    for machine in rack.machines:
        if machine is not dying:
            machine.ssh(f"touch {stub.GOES_ON}")
    dying.kill()
    printed += process.communicate(timeout=600)[0]
    assert process.returncode == 1, printed
    assert f"{dying.name} failed in: Install the stub" in printed, printed
    for machine in rack.machines:
        if machine is not dying:
            stub_program = "/opt/modelrack/engines/stub/*/bin/stub"
            assert machine.ssh(stub_program).stdout == "stub\n"


@pytest.mark.parametrize("how", ["reject_link", "cut_link"])
def test_the_link_is_cut_during_a_job(make_stub_rack: Callable[..., Rack], how: str) -> None:
    rack = make_stub_rack(1)
    machine = rack.machines[0]
    process = rack.start(deploy=BUILD)
    machine.ssh(f"until [ -e {_JOB}/started ]; do sleep 0.1; done", timeout=300)
    getattr(machine, how)()
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 1, printed
    assert "the connection was lost" in printed
    assert f"{machine.name} failed in: Install the stub" in printed
    machine.restore_link()
    started = machine.ssh(f"cat {_JOB}/started").stdout
    again = rack.start(deploy=BUILD)
    printed = read_until(again, "is running already, watching it")
    machine.ssh(f"touch {stub.GOES_ON}")
    printed += again.communicate(timeout=300)[0]
    assert again.returncode == 0, printed
    assert machine.ssh(f"cat {_JOB}/started").stdout == started
    assert machine.ssh("/opt/modelrack/engines/stub/*/bin/stub").stdout == "stub\n"


_JOB = "/var/lib/modelrack/jobs/build-stub-*"


def test_the_second_operator_is_refused(make_rack: Callable[..., Rack]) -> None:
    rack = make_rack(1)
    process = rack.start(deploy="tests/e2e/deploys/slow.py")
    printed = read_until(process, "Starting operation: Take a while")
    second = rack.deploy()
    assert second.code == 1, second.output
    refusal = r"\S+ on \S+ \(process \d+\) is at work on this machine since \d{4}-.*slow\.py"
    assert re.search(refusal, second.output), second.output
    assert rack.machines[0].ssh("ls /data/models").stdout == ""
    rack.machines[0].ssh(f"touch {stub.GOES_ON}")
    printed += process.communicate(timeout=120)[0]
    assert process.returncode == 0, printed
    assert rack.deploy("--json").code == 0


def test_a_killed_operator_leaves_no_lock(make_rack: Callable[..., Rack]) -> None:
    rack = make_rack(1)
    process = rack.start(deploy="tests/e2e/deploys/slow.py")
    read_until(process, "Starting operation: Take a while")
    process.kill()
    process.communicate()
    rack.machines[0].ssh(f"touch {stub.GOES_ON}")
    again = rack.deploy(deploy="tests/e2e/deploys/slow.py")
    assert again.code == 0, again.output
