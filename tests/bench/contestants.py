"""Who is compared: how each is called, and how what it says is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import peers
from tests.lab import Machine

PROJECT = Path(__file__).parents[2]
_HERE = Path(__file__).parent


class ContestantError(Exception):
    """A contestant failed, or did something else than it should have; the message shows its end."""


@dataclass(frozen=True)
class Run:
    """One run of a contestant: wall clock of the whole process, and how many changes it made."""

    seconds: float
    changes: int


@dataclass(frozen=True, eq=False)
class Contestant:
    """
    + key: in the names of machines and in the JSON
    + command: from the inventory file and the number of hosts
    + inventory: the text of its inventory, and what its file is called
    + changes: how many changes the output tells of, None if it tells of none and no success either
    """

    key: str
    title: str
    command: Callable[[Path, int], Sequence[str]]
    inventory: Callable[[Sequence[Machine]], str]
    inventory_name: str
    changes: Callable[[str], int | None]
    environment: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, machines: Sequence[Machine], folder: Path) -> Path:
        """Write the inventory of these machines into a new folder and return its path."""
        folder.mkdir(parents=True)
        path = folder / self.inventory_name
        path.write_text(self.inventory(machines))
        return path

    def run(self, inventory: Path, hosts: int) -> Run:
        """Converge the machines of an inventory."""
        begun = time.monotonic()
        done = subprocess.run(
            self.command(inventory, hosts),
            cwd=PROJECT,
            env={**_surroundings(), **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - begun
        changes = self.changes(done.stdout)
        if done.returncode or changes is None:
            said = (done.stdout + done.stderr)[-4000:]
            raise ContestantError(f"{self.title} ended with {done.returncode}:\n{said}")
        return Run(seconds, changes)


def all_of_them(work: Path) -> list[Contestant]:
    """The contestants in the order in which they take turns, ours last."""
    folder = peers.environment("peers")
    mitogen = {
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_STRATEGY_PLUGINS": str(peers.mitogen_strategies(folder)),
    }
    return [
        _ansible("ansible", "ansible-core", folder, work, {}),
        _ansible("mitogen", "ansible-core with Mitogen", folder, work, mitogen),
        _pyinfra("stock", "pyinfra as it comes", _HERE / "stock.py", work),
        _pyinfra("modelrack", "modelrack", _HERE / "deploy.py", work),
    ]


def _pyinfra(key: str, title: str, deploy: Path, work: Path) -> Contestant:
    program = str(Path(sys.executable).with_name("pyinfra"))
    return Contestant(
        key=key,
        title=title,
        command=lambda inventory, hosts: (
            *(program, "--json", "-y", "--data", f"content={work}"),
            *(str(inventory), str(deploy)),
        ),
        inventory=_pyinfra_inventory,
        inventory_name="hosts.py",
        changes=_pyinfra_changes,
        environment={"PYTHONPATH": str(PROJECT)},
    )


def _pyinfra_inventory(machines: Sequence[Machine]) -> str:
    hosts = [
        (
            machine.name,
            {
                "ssh_hostname": machine.address,
                "ssh_user": "root",
                "ssh_key": str(machine.key),
                "ssh_known_hosts_file": str(machine.known_hosts),
            },
        )
        for machine in machines
    ]
    return f"hosts = {hosts!r}\n"


def _pyinfra_changes(output: str) -> int | None:
    try:
        results = json.loads(output)["results"]
    except (ValueError, KeyError):
        return None
    if results["failed_hosts"]:
        return None
    return sum(len(operation["success"]) for operation in results["operations"])


def _ansible(
    key: str, title: str, folder: Path, work: Path, environment: Mapping[str, str]
) -> Contestant:
    playbook = str(_HERE / "ansible" / "playbook.yml")
    program = str(folder / "bin" / "ansible-playbook")
    return Contestant(
        key=key,
        title=title,
        command=lambda inventory, hosts: (
            *(program, "--forks", str(hosts), "--inventory", str(inventory)),
            *("--extra-vars", f"@{work / 'variables.json'}", playbook),
        ),
        inventory=_ansible_inventory,
        inventory_name="hosts.json",
        changes=_ansible_changes,
        environment={
            "ANSIBLE_CONFIG": str(_HERE / "ansible" / "ansible.cfg"),
            "ANSIBLE_HOME": str(work / "ansible-home"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(work / "ssh"),
            **environment,
        },
    )


def _ansible_inventory(machines: Sequence[Machine]) -> str:
    hosts = {
        machine.name: {
            "ansible_host": machine.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(machine.key),
            "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={machine.known_hosts}",
        }
        for machine in machines
    }
    return json.dumps({"all": {"hosts": hosts}})


def _ansible_changes(output: str) -> int | None:
    lines = re.findall(r"changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", output)
    if not lines or any(unreachable != "0" or failed != "0" for _, unreachable, failed in lines):
        return None
    return sum(int(changed) for changed, _, _ in lines)


def _surroundings() -> dict[str, str]:
    """The environment that all have, so that no setting of the user's favours one of them."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8"}
