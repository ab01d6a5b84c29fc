"""A kernel upgrade that a module did not compile for: the old kernel boots, and apt is healed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from tests.e2e.rack import Rack
from tests.vm import kernels
from tests.vm.facts import hardware
from tests.vm.kernels import FOLLOWS, OLD, STAYS
from tests.vm.lab import VmLab

DEPLOY = "tests/vm/deploys/heal.py"


def test_a_failed_upgrade(make_rack: Callable[..., tuple[VmLab, Rack]], tmp_path: Path) -> None:
    lab, rack = make_rack(1, name="kernels", disk=kernels.upgraded())
    (machine,) = lab.vms
    # The old kernel boots, with all of its modules.
    assert machine.ssh("uname -r").stdout.strip() == OLD
    machine.ssh(["modprobe", "--all", FOLLOWS, STAYS])
    broken = hardware(machine).broken_packages
    assert any(name.startswith("linux-image") for name in broken), broken
    assert machine.ssh("apt-get install -yq mount", check=False).returncode == 100

    done = rack.deploy("--json", deploy=DEPLOY)
    assert done.code == 0, done.output
    assert len(done.changed) == 1
    assert hardware(machine).broken_packages == ()
    machine.ssh("apt-get install -yq mount")
    again = rack.deploy("--json", deploy=DEPLOY)
    assert again.code == 0, again.output
    assert again.changed == []

    # The new kernel boots, and the module that compiles for it has followed.
    releases = machine.ssh("ls /lib/modules").stdout.split()
    (release,) = [name for name in releases if name != OLD]
    for name, kind in (("vmlinuz", "kernel"), ("initrd.img", "initrd")):
        content = machine.ssh(f"base64 /boot/{name}-{release}").stdout
        (tmp_path / kind).write_bytes(base64.b64decode(content))
    machine.stop()
    machine.qemu.kernel, machine.qemu.initrd = tmp_path / "kernel", tmp_path / "initrd"
    machine.start()
    assert machine.ssh("uname -r").stdout.strip() == release
    machine.ssh(["modprobe", FOLLOWS])
    assert machine.ssh(["modprobe", STAYS], check=False).returncode != 0
    assert FOLLOWS in machine.ssh("lsmod").stdout
