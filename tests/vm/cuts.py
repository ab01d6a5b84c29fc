"""Cut a machine's power at a chosen moment of a deploy, and look at what is left of a fetch."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.digest import digest
from tests.e2e.rack import Rack
from tests.lab import Machine
from tests.lab.process import LabError
from tests.vm.machine import VirtualMachine

# The machine's address, which is another one each time.
OWN = "/etc/systemd/network/10-lab.network"
# What useradd and groupadd write, and leave there when the power fails, until the next time.
LEFT = ("/etc/passwd+", "/etc/shadow+", "/etc/group+", "/etc/gshadow+")


def state(machine: Machine) -> dict[str, object]:
    """What the machine has become, for a comparison with another one's."""
    found = digest(machine)
    files = found["files"]
    assert isinstance(files, dict)
    for path in (OWN, *LEFT):
        files.pop(path, None)
    return found


def cut_when(rack: Rack, machine: Machine, due: Callable[[], bool], deploy: str) -> str:
    """Deploy, and cut the power once something is so; return what the operator read."""
    process = rack.start(deploy=deploy)
    while not due():
        if process.poll() is not None:
            raise LabError(f"the moment never came:\n{process.communicate()[0]}")
        time.sleep(0.05)
    machine.kill()
    # An operator who sees a machine die stops waiting for it.
    process.terminate()
    return process.communicate()[0]


@dataclass(frozen=True)
class Moment:
    """When the power fails in an operation.

    + operation: what it is called
    + due: holds from then on, as a shell on the machine has it
    + flushed: a file that happens to be on the disk by then, and with it the names of all others
    """

    operation: str
    due: str
    flushed: str = ""


def cut_in(rack: Rack, machine: Machine, moment: Moment, deploy: str) -> dict[str, str]:
    """Deploy, and cut the power at this moment; return what the operator was told, as `told`."""
    wait = f"until {moment.due}; do sleep 0.05; done >/dev/null 2>&1"
    flush = f"touch {moment.flushed} && sync {moment.flushed}" if moment.flushed else "true"
    watch = [*machine.ssh_command("-oBatchMode=yes"), f"{wait}; {flush}"]
    with subprocess.Popen(watch, stdin=subprocess.DEVNULL) as watching:
        try:
            said = cut_when(rack, machine, lambda: watching.poll() is not None, deploy)
        finally:
            watching.kill()
    found = told(said)
    if not any(name.endswith(moment.operation) for name in found):
        raise LabError(f"{moment.operation} was not begun:\n{said}")
    return found


def told(output: str) -> dict[str, str]:
    """What a run said of each operation: `Success`, `No changes`, or "" if it did not end."""
    found: dict[str, str] = {}
    for line in output.splitlines():
        if begun := re.search(r"Starting operation: (.+?)\s*$", line):
            found[begun[1]] = ""
        elif found and (ended := re.search(r"\] (Success|No changes)$", line.rstrip())):
            found[[*found][-1]] = ended[1]
    return found


def safe(machine: VirtualMachine, folder: str) -> dict[str, list[list[int]]]:
    """What the journal of a fetch into this folder says is on the disk: ranges of each file."""
    found: dict[str, list[list[int]]] = {}
    journal = f"{folder}/.fetch/journal"
    for line in machine.ssh(f"[ ! -e {journal} ] || cat {journal}").stdout.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        found[entry["key"]] = entry["ranges"]
    return found


# Prints a hash of each range of a file, which lies at its place or is still a part of it.
_HASHES = """
import hashlib, json, os, sys
for places, ranges in json.load(sys.stdin):
    (path,) = [place for place in places if os.path.exists(place)]
    with open(path, "rb") as file:
        for begin, end in ranges:
            file.seek(begin)
            print(hashlib.sha256(file.read(end - begin)).hexdigest())
"""


def hashes(machine: VirtualMachine, folder: str, ranges: dict[str, list[list[int]]]) -> list[str]:
    """What the machine reads of ranges of files that it fetches, in the order of their keys."""
    asked = []
    for key in sorted(ranges):
        sha256, _, path = key.split(" ", 2)
        part = hashlib.sha256(f"{path}\n{sha256}".encode()).hexdigest()[:24]
        asked.append(([f"{folder}/{path}", f"{folder}/.fetch/{part}.part"], ranges[key]))
    return machine.ssh(["python3", "-c", _HASHES], stdin=json.dumps(asked)).stdout.split()
