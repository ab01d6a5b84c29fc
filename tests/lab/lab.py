"""``with Lab(machines=3) as lab:`` gives three running machines and takes them away again."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab import guard, network, removal, ssh_key, tree
from tests.lab.machine import Machine
from tests.lab.network import Network
from tests.lab.process import PROJECT, LabError, run
from tests.lab.removal import Owner
from tests.lab.requirements import missing
from tests.lab.tree import Layer


@dataclass(frozen=True)
class _Place:
    """Where a machine of this lab is plugged in and what it boots from."""

    index: int
    layer: Layer


class Lab:
    """Machines on a network of their own.

    ``machines`` is a number or a list of names. ``layer`` is what the machines boot from (default:
    the base of ``suite``); ``binds`` are host folders that every machine sees at the same path.
    What machines write is kept on the disk, or with ``in_memory`` there: that is gone at once where
    a disk takes minutes to forget a gigabyte of small files.
    A lab with ``keep`` outlives this process; any other is removed even if this process is killed.
    """

    def __init__(
        self,
        machines: int | Sequence[str] = 1,
        *,
        name: str = "lab",
        suite: str = "bookworm",
        layer: Layer | None = None,
        air_gapped: bool = False,
        binds: Sequence[str] = (),
        in_memory: bool = False,
        keep: bool = False,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        if isinstance(machines, int):
            machines = [f"{name}{number}" for number in range(1, machines + 1)]
        self.name = name
        self.suite = suite
        self.air_gapped = air_gapped
        self.machines: list[Machine] = []
        self.id = f"mr{secrets.token_hex(3)}"
        self.directory = removal.directory(self.id)
        self._names = list(machines)
        self._layer = layer
        self._binds = tuple(binds)
        self._in_memory = in_memory
        self._keep = keep
        self._say = say
        self._places: dict[str, _Place] = {}
        self._network: Network | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    # -- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Lab:
        return self.up()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    def up(self) -> Lab:
        """Make the network and boot all machines at once; on any failure nothing is left."""
        if reasons := missing():
            raise LabError("; ".join(reasons))
        layer = self._layer or tree.base(self.suite, self._say)
        try:
            self._say("making the network")
            with removal.host_lock():
                pid = os.getpid()
                owner = Owner(
                    self.id, self.name, str(PROJECT), pid, removal.started(pid), self._keep
                )
                removal.register(owner)
                if not self._keep:
                    self._guard = guard.start(self.id)
                self._network = network.create(self.id, air_gapped=self.air_gapped)
            if self._in_memory:
                machines = self.directory / "machines"
                machines.mkdir()
                run(["mount", "-t", "tmpfs", "modelrack-lab", str(machines)])
            self._make_login_key()
            self._say(f"booting {', '.join(self._names)}")
            self.add(*self._names, layer=layer)
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Remove everything; a second call does nothing."""
        for machine in self.machines:
            machine.hang_up()
        removal.remove(self.id)
        for machine in self.machines:
            machine.reap()
        if self._guard is not None:
            self._guard.communicate()
            self._guard = None

    @classmethod
    def attach(cls, lab: str) -> Lab:
        """The lab with this id, made by another process (``keep``)."""
        path = removal.directory(lab) / "lab.json"
        if not path.exists():
            raise LabError(f"lab {lab} is not there yet, or not any more")
        state = json.loads(path.read_text())
        self = cls(0, name=state["name"], suite=state["suite"], air_gapped=state["air_gapped"])
        self.id, self.directory = lab, removal.directory(lab)
        subnet = ipaddress.IPv4Network(state["subnet"])
        self._network = Network(lab, subnet, state["mtu"], state["air_gapped"])
        self._binds = tuple(state["binds"])
        for name, (index, trees) in state["machines"].items():
            self._places[name] = _Place(index, Layer(tuple(Path(path) for path in trees)))
            self.machines.append(self._describe(name, index))
        return self

    # -- machines -----------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """This side's address on the lab's network: what stand-ins listen on."""
        assert self._network is not None, "the lab is not up"
        return self._network.host

    def machine(self, name: str) -> Machine:
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise LabError(f"no machine {name} here, only {', '.join(m.name for m in self.machines)}")

    def add(
        self,
        *names: str,
        layer: Layer | None = None,
        prepare: Callable[[Machine], None] = lambda machine: None,
    ) -> list[Machine]:
        """Boot further machines in parallel, from ``layer`` or the lab's own start.

        ``prepare`` is called with each machine when its tree is there, before it is switched on.
        """
        layer = layer or self._layer or tree.base(self.suite, self._say)
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name) or name in self._places:
                raise LabError(f"{name!r} cannot name a machine: a new lower-case host name can")
            index = len(self._places) + 1
            self._places[name] = _Place(index, layer)
        added = [self._describe(name, self._places[name].index) for name in names]
        self.machines += added
        self._save()
        with ThreadPoolExecutor(max(len(added), 1)) as pool:
            list(pool.map(lambda machine: self._boot(machine, prepare), added))
        return added

    def forget(self, machine: Machine) -> None:
        """Pull its plug, and remove what it wrote."""
        machine.kill()
        machine.reap()
        tree.unmount(machine.directory)
        shutil.rmtree(machine.directory)
        self.machines.remove(machine)

    def snapshot(self, machine: Machine, to: Path | None = None) -> Layer:
        """Keep what a stopped machine wrote as a layer that other machines can boot from.

        The layer lives as long as the lab unless ``to`` names a place outside of it. The machine
        itself goes on from the layer when it is started again.
        """
        if machine.is_running():
            raise LabError(f"{machine.name} runs; stop or kill it before a snapshot")
        place = self._places[machine.name]
        to = to or self.directory / "layers" / f"{machine.name}-{secrets.token_hex(3)}"
        layer = tree.freeze(machine.directory, place.layer, to)
        tree.mount(machine.directory, layer)
        self._places[machine.name] = _Place(place.index, layer)
        self._save()
        return layer

    def start_service(self, name: str, argv: Sequence[str]) -> None:
        """Run a program of the host's (a stand-in) beside the machines, ended with the lab."""
        group = removal.cgroup(self.id) / f"service-{name}"
        group.mkdir(parents=True)
        with (self.directory / f"{name}.log").open("ab") as log:
            subprocess.Popen(
                ["/bin/sh", "-c", f'echo 0 > "{group}/cgroup.procs" && exec "$@"', name, *argv],
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def inventory(self) -> dict[str, Any]:
        """What an inventory needs to know of the machines."""
        return {
            "machines": [
                {
                    "name": machine.name,
                    "address": machine.address,
                    "key": str(machine.key),
                    "known_hosts": str(machine.known_hosts),
                }
                for machine in self.machines
            ]
        }

    def _boot(self, machine: Machine, prepare: Callable[[Machine], None]) -> None:
        tree.mount(machine.directory, self._places[machine.name].layer)
        network.attach(machine.network, machine.index)
        machine.personalise()
        prepare(machine)
        machine.start()

    def _describe(self, name: str, index: int) -> Machine:
        assert self._network is not None, "the lab is not up"
        return Machine(
            name=name,
            address=self._network.address(index),
            key=self.directory / "key",
            known_hosts=self.directory / "known_hosts",
            directory=self.directory / "machines" / name,
            cgroup=removal.cgroup(self.id) / name,
            network=self._network,
            index=index,
            binds=self._binds,
        )

    def _save(self) -> None:
        assert self._network is not None, "the lab is not up"
        state = {
            "name": self.name,
            "suite": self.suite,
            "air_gapped": self.air_gapped,
            "subnet": str(self._network.subnet),
            "mtu": self._network.mtu,
            "binds": self._binds,
            "machines": {
                name: (place.index, [str(path) for path in place.layer.trees])
                for name, place in self._places.items()
            },
        }
        (self.directory / "lab.json").write_text(json.dumps(state))

    def _make_login_key(self) -> None:
        ssh_key.make(self.directory / "key", self.id)
