"""Write what every host class becomes into tests/plans/<class>.txt: python -m tests.plans.update

One run of pyinfra's own command line plans all classes together, so what would merge or reorder
their operations shows here, too.
"""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deploys.control import locks
from deploys.planning.group.members import HostOfClass, HostsOfClass
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import Hub
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import page
from tests.plans.simulated import CLASSES, MACHINES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GROUP_DATA = ROOT / "inventories" / "group_data"
UPDATE = "python -m tests.plans.update"
FULL = "deploys/full.py"
DRIVERS = ("deploys.stages.nvidia.install", "deploys.stages.amd.install")
REFUSED = re.compile(r"\[@fake/([\w-]+)\]\s+refused: (.*)")


@dataclass(frozen=True)
class Planned:
    """What one run said: its exit code, the operations in their order, refusals by machine."""

    code: int
    order: list[dict[str, Any]]
    refusals: dict[str, list[str]]

    def operations(self, name: str) -> list[str]:
        """Those of one machine, in their order."""
        host = f"@fake/{name}"
        return [" + ".join(each["names"]) for each in self.order if host in each["hosts"]]


def pyinfra(
    *words: str, deploy: str = FULL, inventory: str = "tests/plans/fake.py"
) -> subprocess.CompletedProcess[str]:
    """The deploy on the machines of an inventory, only looked at."""
    where = (inventory, deploy, "--group-data", str(GROUP_DATA))
    return subprocess.run(
        [sys.executable, "-m", "pyinfra", *where, "--dry", "--json", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def planned(deploy: str = FULL) -> Planned:
    """All host classes in one run."""
    # What `--dry --json` prints lacks the operations that change nothing.
    run = pyinfra("--debug-operations", deploy=deploy)
    try:
        order = json.loads(run.stdout)["op_order"]
    except ValueError as error:
        raise RuntimeError(f"pyinfra printed no plan: {run.stderr}") from error
    refusals: dict[str, list[str]] = {}
    for name, refusal in REFUSED.findall(run.stderr):
        refusals.setdefault(name, []).append(refusal)
    return Planned(run.returncode, order, refusals)


def golden(name: str, full: Planned, drivers: list[Planned]) -> str:
    """The text of one class: the page of its plan, and what is done in which order."""
    plans = [plan_of(name, rank) for rank in range(CLASSES[name].machines)]
    pages = [page.of(host_of(name, rank), *each) for rank, each in enumerate(plans)]
    text = "\n".join(pages)
    stage = 1 if plans[0][1].stack.vendor == "amd" else 0
    for deploy, run in ((FULL, full), (DRIVERS[stage], drivers[stage])):
        # What is done is the same on all machines that serve a model together.
        (steps,) = {_steps(run, host_of(name, rank)) for rank in range(len(plans))}
        text += "\n".join([f"\n{deploy}:", *(f"  {step}" for step in steps), ""])
    return text


def _steps(run: Planned, host: str) -> tuple[str, ...]:
    none = "refused" if host in run.refusals else "nothing to do"
    return tuple(run.operations(host)) or (none,)


def host_of(name: str, rank: int = 0) -> str:
    """What a machine of a class is called in the inventory, after @fake/."""
    return f"{name}-{rank + 1:02}"


def plan_of(
    name: str,
    rank: int = 0,
    profile: HostProfile | None = None,
    hubs: tuple[Hub, ...] | None = None,
) -> tuple[Machine, HostPlan]:
    """The simulated machine of a class, and what planning alone makes of it.

    + profile, hubs: instead of what the inventories say
    """
    site = runpy.run_path(str(GROUP_DATA / "all.py"))["site"]
    site = replace(site, hubs=hubs) if hubs else site
    profile, of = profile or profile_of(name), CLASSES[name]
    machines = [
        Machine.from_json(json.loads(json.dumps(of.of(each)))) for each in range(of.machines)
    ]
    members = HostsOfClass(
        me=host_of(name, rank),
        hosts=tuple(
            HostOfClass(
                name=host_of(name, each),
                profile=profile,
                machine=machine,
                address=next(iter(machine.addresses), None),
            )
            for each, machine in enumerate(machines)
        ),
    )
    pins, machine = locks.read(site.locks), machines[rank]
    return machine, resolve(profile, site, machine, pins, members=members)


def profile_of(name: str) -> HostProfile:
    """What the inventories say of a class."""
    profile = runpy.run_path(str(GROUP_DATA / f"{name}.py"))["profile"]
    assert isinstance(profile, HostProfile)
    return profile


def main() -> None:
    """Write all files; those of classes that are gone are removed."""
    full, drivers = planned(), [planned(stage) for stage in DRIVERS]
    # All are made before any is touched: a class that cannot be planned leaves them as they were.
    texts = {name: golden(name, full, drivers) for name in MACHINES}
    for path in HERE.glob("*.txt"):
        path.unlink()
    for name, text in texts.items():
        (HERE / f"{name}.txt").write_text(text)
    print(
        f"{len(MACHINES)} files in {HERE.relative_to(ROOT)}: read the difference before you commit"
    )


if __name__ == "__main__":
    main()
