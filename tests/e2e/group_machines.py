"""Machines of a group: what breaks on them, and how long it takes until they serve again."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploys.connection import programs
from tests.lab import Machine

# Seconds; what is waited for comes sooner, but an engine loads its model on a busy computer.
PATIENCE = 900
PYZ = "/opt/modelrack/bin/modelrack.pyz"
# A group whose engine costs nothing.
UNIT = "large.service"
FILE, SECRET = "/etc/modelrack/services/large.group.json", "/etc/modelrack/secrets/large.group"
_TEXT = """\
[Service]
Type=exec
User=nobody
NotifyAccess=main
WatchdogSec=20
WatchdogSignal=SIGKILL
LoadCredential=large.group:/etc/modelrack/secrets/large.group
ExecStart=/usr/bin/python3 {pyz} together --group /etc/modelrack/services/large.group.json -- \
    {engine}
Restart=always
RestartSec=0.2
KillMode=mixed
TimeoutStopSec=120
PrivateTmp=yes
PrivateUsers=yes
ProtectSystem=strict
ProtectProc=invisible
IPAddressDeny=any
IPAddressAllow=localhost {nodes}

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class GroupMachines:
    """The machines of one group, in the order of their ranks, and the unit that each has.

    + answers: whether the head answers a question right, now
    """

    machines: Sequence[Machine]
    unit: str
    answers: Callable[[], bool]

    @property
    def head(self) -> Machine:
        return self.machines[0]

    def said(self, machine: Machine) -> str:
        """What the unit of a machine has written since it was made."""
        return machine.ssh(f"journalctl -u {self.unit} -o cat --no-pager").stdout

    def main(self, machine: Machine) -> str:
        """The process id of the unit's main process; 0 for none."""
        return self._shown(machine, "MainPID")

    def runs(self) -> set[str]:
        """What systemd calls the present run of the unit on each machine that answers."""
        return {self._shown(machine, "InvocationID") for machine in self.machines} - {""}

    def _shown(self, machine: Machine, name: str) -> str:
        shown = f"systemctl show --value --property={name} {self.unit}"
        return machine.ssh(shown, check=False).stdout.strip()

    def survives(
        self,
        what: str,
        disturb: Callable[[], object],
        afterwards: Callable[[], object] = lambda: None,
    ) -> None:
        """Disturb the group: it ends everywhere, and then answers again by itself.

        + afterwards: takes the disturbance away, once the head has stopped or starts anew
        """
        assert self.answers(), f"{what}: it does not even answer before"
        for machine in self.machines:
            # Each of them on a day of its own: a unit gives up after so many starts in a few hours.
            machine.ssh(f"systemctl reset-failed {self.unit}")
        before = self.runs()
        begun = time.monotonic()
        disturb()
        wait(lambda: not self.answers() or self.runs() - before, f"{what}: nothing happens")
        stopped = time.monotonic() - begun
        afterwards()
        wait(lambda: not self.runs() & before, f"{what}: not all machines start anew")
        wait(self.answers, f"{what}: it does not answer again")
        took = time.monotonic() - begun
        print(f"{what}: noticed after {stopped:.1f} s, answers again after {took:.1f} s")

    def kill(self, machine: Machine, pattern: str) -> None:
        """Kill the processes of a machine's unit whose command line or title has this in it."""
        group = machine.ssh(f"systemctl show --value --property=ControlGroup {self.unit}")
        procs = shlex.quote(f"/sys/fs/cgroup{group.stdout.strip()}/cgroup.procs")
        killed = machine.ssh(
            f"for pid in $(cat {procs}); do tr '\\0' ' ' < /proc/$pid/cmdline"
            f" | grep -q -- {shlex.quote(pattern)} && kill -KILL $pid && echo $pid; done; true"
        )
        assert killed.stdout, f"nothing of {self.unit} on {machine.name} is called {pattern}"


def set_up(
    machine: Machine,
    rank: int,
    nodes: Sequence[str],
    *,
    engine: str,
    secret: str,
    digest: str = "0123456789abcdef",
    unit: str = UNIT,
) -> None:
    """Write what a machine of the group has, and enable its unit; it is not started."""
    told = {
        "service": "large",
        "rank": rank,
        "nodes": nodes,
        "port": 8001,
        "digest": digest,
        "secret": SECRET,
    }
    put(machine, FILE, json.dumps(told))
    put(machine, SECRET, secret, mode="600")
    text = _TEXT.format(pyz=PYZ, engine=engine, nodes=" ".join(nodes))
    put(machine, f"/etc/systemd/system/{unit}", text)
    machine.ssh(f"systemctl daemon-reload && systemctl enable --quiet {unit}")


def put(machine: Machine, path: str, content: str, mode: str = "644") -> None:
    """Write a file of a machine, and its folder."""
    folder = shlex.quote(path.rpartition("/")[0])
    name = shlex.quote(path)
    machine.ssh(f"mkdir -p {folder} && install -m {mode} /dev/stdin {name}", stdin=content)


def put_program(machine: Machine) -> None:
    """Copy the programs of deploys/remote to where units look for them."""
    local = machine.directory / "root" / PYZ.lstrip("/")
    machine.ssh(f"mkdir -p {PYZ.rpartition('/')[0]}")
    local.write_bytes(programs.zipapp())
    local.chmod(0o755)


def wait(reached: Callable[[], object], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
