"""The lab keeps its promises: real machines, real faults, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import Lab, LabError, Machine, removal
from tests.lab.process import PROJECT


@pytest.fixture(scope="module")
def lab(lab_factory: Callable[..., Lab]) -> Lab:
    return lab_factory(3)


def _traces(lab: str) -> list[str]:
    """Everything on this host that carries the lab's id."""
    looks = ["ip link show", "ip netns list", "nft list tables", "cat /proc/mounts", "ps -eo args"]
    found = []
    for look in looks:
        out = subprocess.run(look.split(), capture_output=True, text=True).stdout
        found += [line for line in out.splitlines() if lab in line]
    found += [str(path) for path in (removal.directory(lab), removal.cgroup(lab)) if path.exists()]
    return found


def _refuses(machine: Machine, within: float) -> bool:
    begun = time.monotonic()
    done = machine.ssh("true", check=False)
    return done.returncode == 255 and time.monotonic() - begun < within


def test_all_machines_are_whole_systems(lab: Lab) -> None:
    states = [m.ssh("systemctl is-system-running; hostname").stdout.split() for m in lab.machines]
    assert states == [["running", machine.name] for machine in lab.machines]
    ids = {machine.ssh("cat /etc/machine-id").stdout for machine in lab.machines}
    assert len(ids) == 3


def test_machines_reach_each_other_and_the_package_archive(lab: Lab) -> None:
    first, second, _ = lab.machines
    first.ssh(f"bash -c 'echo > /dev/tcp/{second.address}/22'", timeout=10)
    first.ssh("apt-get -q update && apt-get -qy install tree && tree --version", timeout=120)


def test_commands_share_a_connection_until_it_is_closed(lab: Lab) -> None:
    machine = lab.machines[1]
    first, second = (machine.ssh("echo $SSH_CONNECTION").stdout for _ in range(2))
    assert first == second
    machine.hang_up()
    assert machine.ssh("echo $SSH_CONNECTION").stdout != first


def test_services_of_one_machine_survive_a_restart_on_another(lab: Lab) -> None:
    first, second, _ = lab.machines
    for machine in (first, second):
        machine.ssh("systemd-run --unit=sleeper sleep 1000")
    first.ssh("systemctl kill --signal=KILL sleeper; systemctl restart dbus; sleep 0.2")
    assert second.ssh("systemctl is-active sleeper").stdout == "active\n"


def test_reboot_in_order_and_after_a_power_cut(lab: Lab) -> None:
    machine = lab.machines[0]
    machine.ssh("echo kept > /root/file; systemd-run --unit=gone sleep 1000")
    for hard in (False, True):
        machine.reboot(hard=hard)
        assert machine.ssh("cat /root/file").stdout == "kept\n"
        assert machine.ssh("systemctl is-active gone", check=False).stdout == "inactive\n"
    machine.stop()
    assert not machine.is_running()
    machine.start()


def test_link_faults_come_and_go(lab: Lab) -> None:
    first, second, third = lab.machines
    knock = f"timeout 2 bash -c 'echo > /dev/tcp/{first.address}/22'"
    first.cut_link()
    with pytest.raises(subprocess.TimeoutExpired):
        first.ssh("true", timeout=2)
    assert second.ssh(knock, check=False).returncode == 124
    second.ssh("true", timeout=5)
    first.restore_link()
    first.ssh("true", timeout=10)
    second.ssh(knock)

    first.reject_link()
    assert _refuses(first, within=2)
    first.restore_link()
    first.ssh("true", timeout=10)

    third.slow_link("8mbit")
    begun = time.monotonic()
    third.ssh("cat > /dev/null", stdin="x" * 2_000_000)
    assert time.monotonic() - begun > 1.5
    third.restore_link()


def test_a_snapshot_starts_more_machines(lab: Lab) -> None:
    machine = lab.machines[2]
    machine.ssh("mkdir -p /srv/a/b && echo deep > /srv/a/b/c && rm /usr/bin/curl")
    machine.stop()
    layer = lab.snapshot(machine)
    (copy,) = lab.add("copy", layer=layer)
    machine.start()
    for each in (copy, machine):
        assert each.ssh("mv /srv/a /srv/z && cat /srv/z/b/c").stdout == "deep\n"
        assert each.ssh("command -v curl", check=False).returncode != 0
    assert copy.ssh("hostname").stdout == "copy\n"


def test_an_air_gapped_machine_reaches_this_side_and_nothing_else() -> None:
    with Lab(1, air_gapped=True) as lab:
        machine = lab.machines[0]
        server = Path("/etc/resolv.conf").read_text().split("nameserver ")[1].split()[0]
        knock = f"timeout 2 bash -c 'echo > /dev/tcp/{server}/53'"
        assert machine.ssh(knock, check=False).returncode != 0
        assert machine.ssh(f"ip route get {lab.host}").returncode == 0
        lab.forget(machine)
        assert (lab.machines, machine.directory.exists()) == ([], False)
    assert _traces(lab.id) == []


def test_a_lab_that_fails_half_way_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    personalise = Machine.personalise

    def fail_for_one(machine: Machine) -> None:
        if machine.name == "bad":
            raise LabError("on purpose")
        personalise(machine)

    monkeypatch.setattr(Machine, "personalise", fail_for_one)
    lab = Lab(["good", "bad"])
    with pytest.raises(LabError, match="on purpose"):
        lab.up()
    assert _traces(lab.id) == []


def test_a_killed_owner_leaves_nothing() -> None:
    up = "lab = Lab(1, in_memory=True).up()"
    script = f"from tests.lab import Lab; {up}; print(lab.id, flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lab = process.stdout.readline().strip()
    assert _traces(lab)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 10
    while _traces(lab) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _traces(lab) == []
