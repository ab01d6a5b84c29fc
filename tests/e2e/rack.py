"""Machines of a lab, the inventory that deploys to them, and what a deploy printed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import Lab, Machine

PROJECT = Path(__file__).resolve().parents[2]
_INVENTORIES = ("sandbox.py", "group_data/all.py", "group_data/sandbox.py")


@dataclass(frozen=True)
class Run:
    """One run of pyinfra: its exit code and everything that it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def operations(self) -> list[dict[str, Any]]:
        """What `--json` says of each operation: who succeeded, failed, had no change."""
        results: dict[str, Any] = json.loads(self.stdout)["results"]
        operations: list[dict[str, Any]] = results["operations"]
        return operations

    @property
    def changed(self) -> list[str]:
        """Names of the operations that had something to change, likewise."""
        return [entry["name"] for entry in self.operations if not entry["no_change"]]

    @property
    def commands(self) -> int:
        """Commands that machines were sent, under --debug; the one that holds the lock included."""
        return len(re.findall(r"Running command on |Attempting upload of ", self.stderr)) + 1


class Rack:
    """A copy of the sandbox inventory for these machines, with lines of its own.

    + folder: an empty folder, for the inventory and the pins
    + extra: Python that is added to the group data, such as `site = replace(site, ...)`
    """

    def __init__(self, lab: Lab, hub: str, github: str, folder: Path, extra: str = "") -> None:
        self.machines = lab.machines
        self.folder = folder
        self._lab = folder / ".lab" / "sandbox" / "lab.json"
        for name in _INVENTORIES:
            target = folder / "inventories" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / "inventories" / name, target)
        self.add(extra)
        self.point_to(lab.machines, hub, github)

    def add(self, extra: str) -> None:
        """Further lines for the group data, from now on."""
        with (self.folder / "inventories/group_data/sandbox.py").open("a") as data:
            data.write(f"\n{extra}\n")

    def point_to(self, machines: list[Machine], hub: str, github: str) -> None:
        """Deploy to these machines from now on, with weights and sources from there."""
        self.machines = machines
        entries = [
            {
                "name": machine.name,
                "address": machine.address,
                "key": str(machine.key),
                "known_hosts": str(machine.known_hosts),
            }
            for machine in machines
        ]
        self.tell(machines=entries, hub=hub, github=github)

    def tell(self, **entries: Any) -> None:
        """Have the inventory know these, beside what it knows already; as `_lab` it has them."""
        self._lab.parent.mkdir(parents=True, exist_ok=True)
        self._lab.write_text(json.dumps({**self.told, **entries}))

    @property
    def told(self) -> dict[str, Any]:
        """What the inventory knows of machines and addresses: that of the hub, for one."""
        told: dict[str, Any] = json.loads(self._lab.read_text()) if self._lab.exists() else {}
        return told

    @property
    def inventory(self) -> str:
        return str(self.folder / "inventories" / "sandbox.py")

    def command(self, *options: str, deploy: str = "deploys/full.py") -> list[str]:
        """What an operator types, as arguments."""
        return [sys.executable, "-m", "pyinfra", self.inventory, deploy, "-y", *options]

    def deploy(self, *options: str, deploy: str = "deploys/full.py") -> Run:
        """Run it to its end."""
        return run(self.command(*options, deploy=deploy))

    def ask(self, port: int = 8080) -> str:
        """What a server of the first machine says to a greeting; "" where nothing answers."""
        question = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0}
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        command = f"curl -s {url} --json '{json.dumps(question)}'"
        return self.machines[0].ssh(command, check=False).stdout.strip()

    def start(self, *options: str, deploy: str = "deploys/full.py") -> subprocess.Popen[str]:
        """Run it beside the test."""
        return subprocess.Popen(
            self.command(*options, deploy=deploy),
            cwd=PROJECT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )


def run(command: list[str]) -> Run:
    """A command in the project's folder, as an operator would type it; nobody answers questions."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Without the terminal that the tests may have.
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def read_until(process: subprocess.Popen[str], pattern: str) -> str:
    """What was printed up to the first line that matches."""
    assert process.stdout
    printed = ""
    for line in process.stdout:
        printed += line
        if re.search(pattern, line):
            return printed
    raise AssertionError(f"it ended before {pattern!r}:\n{printed}")


def environment() -> dict[str, str]:
    """That of the test, without a spinner."""
    return {**os.environ, "PYINFRA_PROGRESS": "off"}
