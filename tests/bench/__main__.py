"""How long the same content takes with us and with others: ``python -m tests.bench``.

First each of them from nothing, on fresh machines of its own, checked to lead to the same state.
Then all in turn, several times, on machines where nothing is to change: the second run, which
counts. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests import temporary
from tests.bench import content, contestants
from tests.bench.contestants import Contestant, ContestantError
from tests.bench.peers import PeersError
from tests.lab import Lab, LabError, Layer, Machine

# Times faster than each of them that we promise to be.
TARGETS = {"ansible": 10.0, "mitogen": 2.5}
# How often the second run is measured on so many hosts.
REPETITIONS = {1: 5, 8: 3}


@dataclass
class Result:
    """Seconds of one contestant on so many hosts."""

    contestant: Contestant
    first: float = 0.0
    second: list[float] = field(default_factory=list)


def main() -> int:
    arguments = _arguments()
    summary = {}
    try:
        with temporary.folder("modelrack-bench-") as folder:
            for hosts, results in _measure(folder, arguments.hosts, arguments.repetitions):
                summary[str(hosts)] = _report(hosts, results)
    except (ContestantError, PeersError, LabError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"bench": "converge", "targets": TARGETS, "hosts": summary}))
    return 0


def _measure(
    work: Path, sizes: Sequence[int], times: int | None
) -> Iterator[tuple[int, list[Result]]]:
    content.write(work)
    taking_part = contestants.all_of_them(work)
    with Lab(["seed"], say=_say) as lab, _connections_closed(work):
        layer = _start(lab)
        for hosts in sizes:
            repetitions = times or REPETITIONS[hosts]
            yield hosts, _measure_on(lab, layer, work, taking_part, hosts, repetitions)


def _start(lab: Lab) -> Layer:
    """What all machines boot from: packages already downloaded, so that no network is measured."""
    _say("downloading the packages")
    seed = lab.machine("seed")
    seed.ssh(
        "apt-get -q update && apt-get -qy install --no-install-recommends python3-apt && apt-get"
        f" -qy install --no-install-recommends --download-only {' '.join(content.PACKAGES)}"
        # By this all but us see how old the package lists are, as on a machine that is in use.
        " && install -D /dev/null /var/lib/apt/periodic/update-success-stamp"
    )
    seed.stop()
    return lab.snapshot(seed)


def _measure_on(
    lab: Lab, layer: Layer, work: Path, taking_part: list[Contestant], hosts: int, times: int
) -> list[Result]:
    # One host is enough to see what pyinfra does as it comes.
    if hosts > 1:
        taking_part = [contestant for contestant in taking_part if contestant.key != "stock"]
    results = [Result(contestant) for contestant in taking_part]
    machines: list[Machine] = []
    reached: dict[str, str] = {}
    for result in results:
        # A lab of three times as many machines asks more than a small computer has.
        for machine in machines:
            machine.kill()
        key = result.contestant.key
        _say(f"{result.contestant.title}: first run on {hosts}")
        names = [f"{key}{hosts}-{number}" for number in range(1, hosts + 1)]
        machines = lab.add(*names, layer=layer)
        inventory = result.contestant.prepare(machines, work / "first" / f"{key}-{hosts}")
        result.first = result.contestant.run(inventory, hosts).seconds
        reached |= {machine.name: machine.ssh(content.proof()).stdout for machine in machines}
        _prove(reached)
    # All in the same state, so the last machines serve everybody: what is measured is the same.
    inventories = [
        result.contestant.prepare(machines, work / "second" / f"{result.contestant.key}-{hosts}")
        for result in results
    ]
    for turn in range(1, times + 1):
        _say(f"second run on {hosts}, {turn} of {times}, load {os.getloadavg()[0]:.1f}")
        for result, inventory in zip(results, inventories, strict=True):
            run = result.contestant.run(inventory, hosts)
            if run.changes:
                raise ContestantError(
                    f"{result.contestant.title} changed {run.changes} things where nothing was"
                    " to change"
                )
            result.second.append(run.seconds)
    for machine in machines:
        machine.kill()
    return results


def _prove(reached: dict[str, str]) -> None:
    """All machines must be in the same state, whoever brought it about."""
    (expected, state), *others = reached.items()
    for name, other in others:
        if other != state:
            differing = sorted(set(state.splitlines()) ^ set(other.splitlines()))
            raise ContestantError(
                f"{expected} and {name} differ after the first run:\n" + "\n".join(differing)
            )


def _report(hosts: int, results: list[Result]) -> dict[str, object]:
    """Print a table and return what the JSON says of it."""
    medians = {result.contestant.key: median(result.second) for result in results}
    title = f"{hosts} host{'s' if hosts > 1 else ''}, seconds"
    print(f"\n{title:<30}first run   second: median      min      max   times ours", flush=True)
    for result in results:
        key, seconds = result.contestant.key, result.second
        ratio = medians[key] / medians["modelrack"]
        target = f" (target {TARGETS[key]:g})" if key in TARGETS else ""
        print(
            f"  {result.contestant.title:<28}{result.first:>9.2f}{medians[key]:>17.2f}"
            f"{min(seconds):>9.2f}{max(seconds):>9.2f}{ratio:>13.1f}{target}"
        )
    return {
        "median_s": {key: round(value, 3) for key, value in medians.items()},
        "first_s": {result.contestant.key: round(result.first, 3) for result in results},
        "ratio": {
            key: round(value / medians["modelrack"], 2)
            for key, value in medians.items()
            if key != "modelrack"
        },
    }


@contextmanager
def _connections_closed(work: Path) -> Iterator[None]:
    """End the connections that ansible keeps for its next run."""
    try:
        yield
    finally:
        for socket in (work / "ssh").glob("*"):
            command = shlex.join(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "unused"])
            subprocess.run(command, shell=True, capture_output=True, check=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", choices=sorted(REPETITIONS), default=[1, 8])
    parser.add_argument("--repetitions", type=int, help="of the second run, instead of 5 and 3")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
