"""What our program of facts says of a machine."""

from __future__ import annotations

import json

from deploys.facts.machine import Hardware
from deploys.planning.inputs.machine import Machine
from tests.vm.machine import VirtualMachine


def hardware(machine: VirtualMachine) -> Machine:
    """The machine as plans are made for it."""
    command = Hardware().command(data_root="/data").get_raw_value()
    return Machine.from_json(json.loads(machine.ssh(command).stdout.splitlines()[-1]))
