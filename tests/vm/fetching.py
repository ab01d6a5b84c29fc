"""Machines that fetch one model of noise from a hub, and nothing else: for what can go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e import sharing
from tests.e2e.digest import difference
from tests.e2e.rack import Rack
from tests.lab import large_model
from tests.lab.hub import Hub
from tests.lab.process import LabError
from tests.vm import cuts
from tests.vm.lab import VmLab
from tests.vm.machine import VirtualMachine
from tests.vm.saved import Saved

DEPLOY = "tests/e2e/deploys/weights_only.py"
FOLDER = "/data/models/large"
SIZE = 12 << 20


@dataclass(frozen=True)
class Fetching:
    """Where they are.

    + ready: a machine that lacks nothing but the model
    + state: what one becomes that nothing happens to
    """

    lab: VmLab
    rack: Rack
    hub: Hub
    ready: Saved
    state: dict[str, object]

    def machine(self, name: str) -> VirtualMachine:
        """One more, which the rack deploys to from now on; with the hub as it should be."""
        machine = self.lab.add_from(self.ready, name)
        self.deploy_to(machine)
        self.hub.faults.clear()
        self.hub.requests.clear()
        return machine

    def deploy_to(self, machine: VirtualMachine) -> None:
        """All of them have one name there, which what they are told may hold."""
        told = self.rack.told
        self.rack.point_to([replace(machine, name="fetches")], told["hub"], told["github"])

    def converges(self, machine: VirtualMachine) -> None:
        """A run ends well, and nothing tells that there was another one before."""
        done = self.rack.deploy("--json", deploy=DEPLOY)
        assert done.code == 0, done.output
        found = difference(self.state, cuts.state(machine))
        assert not found, found


@contextmanager
def fetching(folder: Path) -> Iterator[Fetching]:
    """A lab for it, and what all of its machines go on from.

    + folder: an empty one
    """
    root, inventory = folder / "hub", folder / "rack"
    root.mkdir()
    large_model.publish(root, SIZE)
    with VmLab(["first"], name="fetches") as lab, Hub(root) as hub:
        url = hub.listen(lab.host)
        rack = Rack(lab, url, url, inventory, sharing.group_data(None, merge=False))
        (machine,) = lab.vms
        rack.point_to([replace(machine, name="fetches")], url, url)
        _run(rack, "deploys.stages.base.install")
        here = Fetching(lab, rack, hub, lab.save(machine), {})
        machine = here.machine("whole")
        _run(rack, DEPLOY)
        state = cuts.state(machine)
        lab.forget(machine)
        yield replace(here, state=state)


def _run(rack: Rack, deploy: str) -> None:
    done = rack.deploy(deploy=deploy)
    if done.code:
        raise LabError(done.output)
