"""What our program of facts says of a machine."""

from __future__ import annotations

import json

from deploys.facts.machine import Hardware
from deploys.planning.inputs.machine import Machine
from tests.vm.machine import VirtualMachine

# The bus with one card more, an RTX 4090, until the next boot.
_CARD = """
set -eu
mkdir -p /run/bus/0000:40:00.0
cp -a /sys/bus/pci/devices/. /run/bus
cd /run/bus/0000:40:00.0
echo 0x10de > vendor
echo 0x2684 > device
echo 0x030000 > class
mount --bind /run/bus /sys/bus/pci/devices
"""


def show_card(machine: VirtualMachine) -> None:
    """Have the bus show a card, as QEMU has none: to programs, not to the kernel."""
    machine.ssh(_CARD)


def hardware(machine: VirtualMachine) -> Machine:
    """The machine as plans are made for it."""
    command = Hardware().command(data_root="/data").get_raw_value()
    return Machine.from_json(json.loads(machine.ssh(command).stdout.splitlines()[-1]))
