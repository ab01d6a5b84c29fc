"""With Secure Boot the kernel refuses a module of ours, until the owner has enrolled its key."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploys.planning.inputs.refusal import Refusal
from tests.unit.planning.driver import driver_examples
from tests.vm import signing
from tests.vm.facts import hardware
from tests.vm.lab import VmLab

MODULE = "/lib/modules/$(uname -r)/updates/dkms/dummy.ko"


def test_a_key_that_nobody_enrolled(vm_lab: Callable[..., VmLab], tmp_path: Path) -> None:
    lab = vm_lab(1, name="secure", firmware="secure boot")
    (machine,) = lab.vms
    assert "SecureBoot enabled" in machine.ssh("mokutil --sb-state").stdout
    there = hardware(machine)
    assert there.secure_boot
    # A module of Debian's, which is signed by Debian and now by us, as DKMS signs what it compiled.
    found = machine.ssh("base64 $(modinfo -n dummy)").stdout
    key = signing.make_key(tmp_path)
    ours = signing.sign(base64.b64decode(found), key, tmp_path)
    machine.ssh("modprobe dummy && rmmod dummy")
    machine.ssh(
        f"mkdir -p $(dirname {MODULE}) && base64 -d > {MODULE} && depmod && sync",
        stdin=base64.b64encode(ours).decode(),
    )
    refused = machine.ssh("modprobe dummy", check=False)
    assert refused.returncode != 0
    assert "Key was rejected by service" in refused.stderr
    # What a deploy says to that, before it installs anything.
    card = driver_examples.machine("rtx4090")
    with pytest.raises(Refusal, match="Secure Boot is on") as told:
        driver_examples.plan(replace(there, hostname=card.hostname, gpus=card.gpus))
    assert "mokutil --import" in str(told.value)

    machine.stop()
    signing.enrol(machine.qemu, key)
    machine.start()
    assert "SecureBoot enabled" in machine.ssh("mokutil --sb-state").stdout
    assert "DKMS module signing key" in machine.ssh("mokutil --list-enrolled").stdout
    machine.ssh("modprobe dummy")
    assert machine.ssh("modinfo -F signer dummy").stdout == "DKMS module signing key\n"
