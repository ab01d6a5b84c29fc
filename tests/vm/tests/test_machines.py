"""A machine has a kernel of its own, is reached as the lab's are, and loses what was not kept."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable

import pytest

from tests.vm.lab import VmLab
from tests.vm.machine import VirtualMachine

# Two counters in one file each: one is written past every cache of the kernel and never flushed,
# the other is, now and then, before anybody is told.
COUNTERS = """
import mmap, os
page = mmap.mmap(-1, 4096)
hasty = os.open("/var/hasty", os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
kept = os.open("/var/kept", os.O_RDWR | os.O_CREAT, 0o600)
for file in (hasty, kept):
    os.pwritev(file, [page], 0)
os.sync()
number = 0
while True:
    number += 1
    page[:8] = number.to_bytes(8, "little")
    os.pwritev(hasty, [page], 0)
    if number % 100 == 0:
        os.pwrite(kept, page[:8], 0)
        os.fsync(kept)
        print(number, flush=True)
    elif number % 100 == 60:
        print(number, flush=True)
"""
READ = """
for name in ("hasty", "kept"):
    print(int.from_bytes(open(f"/var/{name}", "rb").read(8), "little"))
"""


@pytest.fixture(scope="module")
def machine(vm_lab: Callable[..., VmLab]) -> VirtualMachine:
    (machine,) = vm_lab(1, name="kernel").vms
    return machine


def test_it_has_a_kernel_of_its_own(machine: VirtualMachine) -> None:
    assert machine.ssh("uname -r").stdout.strip() != platform.release()
    assert machine.ssh("hostname").stdout.strip() == machine.name
    for module in ("sch_netem", "dm_flakey", "nouveau"):
        machine.ssh(["modprobe", module])
        assert machine.ssh(f"lsmod | grep -c '^{module} '").stdout.strip() == "1"
    assert machine.ssh("systemctl --failed --plain --no-legend").stdout == ""


def test_a_power_cut_takes_what_was_not_flushed_and_nothing_else(machine: VirtualMachine) -> None:
    machine.ssh("cat > /var/counters.py", stdin=COUNTERS)
    command = [*machine.ssh_command("-oBatchMode=yes"), "exec python3 /var/counters.py"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as writing:
        assert writing.stdout
        said = 0
        while said < 560:
            said = int(writing.stdout.readline())
        machine.kill()
        writing.terminate()
        said = int([str(said), *writing.stdout.read().split()][-1])
    machine.start()
    hasty, kept = map(int, machine.ssh("python3 -", stdin=READ).stdout.split())
    assert kept >= said // 100 * 100
    assert kept <= hasty < said


def test_it_reboots(machine: VirtualMachine) -> None:
    machine.reboot()
    assert machine.ssh("systemctl is-system-running --wait", check=False).stdout == "running\n"
