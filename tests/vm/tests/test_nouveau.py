"""nouveau is in the kernel, is kept away by the driver's stage, and is gone after a reboot."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.rack import Rack
from tests.vm.facts import hardware, show_card
from tests.vm.lab import VmLab

DEPLOY = "tests/vm/deploys/blacklist.py"


def test_nouveau_is_gone_after_a_reboot(make_rack: Callable[..., tuple[VmLab, Rack]]) -> None:
    lab, rack = make_rack(1, name="nouveau")
    (machine,) = lab.vms
    # No card asks for it here, so that this does; what is blacklisted it leaves alone.
    machine.ssh("echo nouveau > /etc/modules-load.d/nouveau.conf")
    machine.ssh("systemctl restart systemd-modules-load")
    show_card(machine)
    there = hardware(machine)
    assert there.nouveau and there.nouveau_in_initramfs
    done = rack.deploy("--json", deploy=DEPLOY)
    assert done.code == 0, done.output
    assert len(done.changed) == 1
    assert hardware(machine).nouveau
    machine.reboot()
    show_card(machine)
    there = hardware(machine)
    assert not there.nouveau and not there.nouveau_in_initramfs
    # It was asked for again, and left alone.
    machine.ssh("systemctl is-active systemd-modules-load && modprobe --dry-run nouveau")
    again = rack.deploy("--json", deploy=DEPLOY)
    assert again.code == 0, again.output
    assert again.changed == []
