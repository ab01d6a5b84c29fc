"""What a run costs the operator's computer: ``python -m tests.bench.hosts``.

`deploys/full.py --dry` on growing numbers of hosts that answer as tests/plans/simulated.py says, by
pyinfra as it comes and as config.py makes it (deploys/connection/speed.py), in turn. The last line
is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests import temporary
from tests.plans.simulated import MACHINES

PROJECT = Path(__file__).resolve().parents[2]
INVENTORY = """
import json
machine = json.loads({machine!r})
{group} = [
    (
        f"@fake/{group}-{{number:03}}",
        {{
            "fake_responses": {{
                "modelrack-facts-machine": json.dumps({{**machine, "hostname": f"m{{number:03}}"}})
            }},
            "fake_delay": 0,
            "fake_delay_jitter": 0,
        }},
    )
    for number in range({hosts})
]
del machine
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of processors and of the clock, and MiB of memory at most."""

    cpu: float
    wall: float
    memory: float


def main() -> int:
    arguments = _arguments()
    summary = []
    print(f"{'class':8} {'hosts':>5} {'as':10} {'CPU s':>7} {'wall s':>7} {'MiB':>5}", flush=True)
    with temporary.folder("modelrack-bench-") as folder:
        for group in arguments.classes:
            for hosts in arguments.hosts:
                inventory = folder / f"{group}-{hosts}.py"
                machine = json.dumps(MACHINES[group])
                inventory.write_text(INVENTORY.format(machine=machine, group=group, hosts=hosts))
                # pyinfra reads the config.py of the folder that it is called in.
                for name, cwd in (("stock", folder), ("modelrack", PROJECT)):
                    cost = _run(inventory, cwd)
                    summary.append({"class": group, "hosts": hosts, "as": name, **asdict(cost)})
                    print(
                        f"{group:8} {hosts:5} {name:10} {cost.cpu:7.2f} {cost.wall:7.2f}"
                        f" {cost.memory:5.0f}",
                        flush=True,
                    )
    print(json.dumps({"bench": "hosts", "runs": summary}))
    return 0


def _run(inventory: Path, cwd: Path) -> Cost:
    command = [
        *(sys.executable, "-m", "pyinfra", str(inventory), str(PROJECT / "deploys" / "full.py")),
        *("--group-data", str(PROJECT / "inventories" / "group_data"), "--dry", "-y"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PYINFRA_PROGRESS": "off"}
    begun = time.monotonic()
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said.decode()}")
    return Cost(
        cpu=round(used.ru_utime + used.ru_stime, 2),
        wall=round(time.monotonic() - begun, 2),
        memory=round(used.ru_maxrss / 1024, 1),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hosts", description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 10, 30, 100])
    parser.add_argument("--classes", nargs="+", choices=sorted(MACHINES), default=["cpu", "h800"])
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
