"""The power fails in the middle of what a deploy writes: a second run makes up for it.

What is compared is all that a machine has become, with one that nothing happened to. Files, a user,
packages, programs and uv are the base's; the engine's are its programs, its units and the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.e2e.digest import difference
from tests.e2e.rack import Rack
from tests.vm import cuts
from tests.vm.cuts import Begun
from tests.vm.fetching import BASE, Fetching
from tests.vm.lab import VmLab
from tests.vm.machine import VirtualMachine
from tests.vm.saved import Saved

# Of the base and of the rest, evenly among those that take their time; and where in each of them.
OF_THE_BASE, OF_THE_ENGINE = 8, 7
WHERE = (0.1, 0.5, 0.9)


def _chosen(done: tuple[Begun, ...], nth: int, of: int) -> Begun:
    return done[nth * len(done) // of]


@pytest.mark.parametrize("nth", range(OF_THE_BASE))
def test_in_an_operation_of_the_base(fetching: Fetching, nth: int) -> None:
    operation = _chosen(fetching.done, nth, OF_THE_BASE)
    machine = fetching.bare(f"base{nth}")
    cuts.cut_in(fetching.rack, machine, operation, WHERE[nth % len(WHERE)], BASE)
    print(f"cut in {operation.name}", flush=True)
    machine.start()
    fetching.converges(machine)
    fetching.lab.forget(machine)


@dataclass(frozen=True)
class Served:
    """Machines that have their base and their weights, and are to serve them.

    + start: one that does not yet
    + done: what makes it, with the seconds that each took
    + state: what it becomes
    """

    lab: VmLab
    rack: Rack
    start: Saved
    done: tuple[Begun, ...]
    state: dict[str, object]

    def machine(self, name: str) -> VirtualMachine:
        """One more, for the rack alone, under the name that all of them have there."""
        machine = self.lab.add_from(self.start, name)
        told = self.rack.told
        self.rack.point_to([replace(machine, name="serves")], told["hub"], told["github"])
        return machine


@pytest.fixture(scope="module")
def served(
    make_rack: Callable[..., tuple[VmLab, Rack]],
    compiled: Callable[[VirtualMachine, str], None],
) -> Served:
    lab, rack = make_rack(["first"], name="serves")
    (machine,) = lab.vms
    compiled(machine, "bookworm")
    rack.point_to([replace(machine, name="serves")], rack.told["hub"], rack.told["github"])
    cuts.watch(rack, "tests/e2e/deploys/weights_only.py")
    made = Served(lab, rack, lab.save(machine), (), {})
    machine = made.machine("whole")
    done = [each for each in cuts.watch(rack) if not each.name.startswith(("Base", "Weights"))]
    state = cuts.state(machine)
    lab.forget(machine)
    return replace(made, done=tuple(done), state=state)


@pytest.mark.parametrize("nth", range(OF_THE_ENGINE))
def test_in_an_operation_of_the_engine(served: Served, nth: int) -> None:
    operation = _chosen(served.done, nth, OF_THE_ENGINE)
    machine = served.machine(f"engine{nth}")
    cuts.cut_in(served.rack, machine, operation, WHERE[nth % len(WHERE)])
    print(f"cut in {operation.name}", flush=True)
    machine.start()
    again = served.rack.deploy("--json")
    assert again.code == 0, again.output
    assert difference(served.state, cuts.state(machine)) == {}
    served.lab.forget(machine)
