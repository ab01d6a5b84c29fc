"""The power fails in the middle of what a deploy writes: a second run makes up for it.

What is compared is all that a machine has become, with one that nothing happened to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.e2e.digest import difference
from tests.e2e.rack import Rack
from tests.vm import cuts
from tests.vm.cuts import Begun
from tests.vm.lab import VmLab
from tests.vm.machine import VirtualMachine
from tests.vm.saved import Saved

# Operations that are cut, evenly among those that write, and where in each of them.
OPERATIONS = 15
WHERE = (0.1, 0.5, 0.9)
# Seconds: an operation that has nothing to change is over at once.
LEAST = 0.5


@dataclass(frozen=True)
class Place:
    """Where machines are cut, and what becomes of one that is not.

    + bare: a machine before its first deploy
    + done: what that did, in its order
    + state: what it has become
    """

    lab: VmLab
    rack: Rack
    bare: Saved
    done: tuple[Begun, ...]
    state: dict[str, object]

    def machine(self, start: Saved, name: str) -> VirtualMachine:
        """One more, for the rack alone, under the name that all of them have there."""
        machine = self.lab.add_from(start, name)
        self.deploy_to(machine)
        return machine

    def deploy_to(self, machine: VirtualMachine) -> None:
        told = self.rack.told
        self.rack.point_to([replace(machine, name="cut")], told["hub"], told["github"])

    def converges(self, machine: VirtualMachine) -> None:
        """A second run ends well, and nothing tells that there was a first one."""
        again = self.rack.deploy("--json")
        assert again.code == 0, again.output
        assert difference(self.state, cuts.state(machine)) == {}
        self.lab.forget(machine)


@pytest.fixture(scope="module")
def place(
    make_rack: Callable[..., tuple[VmLab, Rack]],
    compiled: Callable[[VirtualMachine, str], None],
) -> Place:
    lab, rack = make_rack(["bare"], name="cut")
    (machine,) = lab.vms
    compiled(machine, "bookworm")
    bare = lab.save(machine)
    made = Place(lab, rack, bare, (), {})
    machine = made.machine(bare, "whole")
    done = tuple(cuts.watch(rack))
    state = cuts.state(machine)
    lab.forget(machine)
    return replace(made, done=done, state=state)


@pytest.mark.parametrize("nth", range(OPERATIONS))
def test_in_an_operation_that_writes(place: Place, nth: int) -> None:
    writing = [each for each in place.done if each.seconds > LEAST]
    chosen = writing[nth * len(writing) // OPERATIONS]
    machine = place.machine(place.bare, f"write{nth}")
    after = chosen.seconds * WHERE[nth % len(WHERE)]
    cuts.cut_in(place.rack, machine, chosen.name, after)
    print(f"cut {after:.1f} s into {chosen.name}", flush=True)
    machine.start()
    place.converges(machine)
