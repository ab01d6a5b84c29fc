"""How long N machines take to have a model, what the hub sends: ``python -m tests.bench.sharing``.

The way out of the lab is narrow and shared, as a real one is; between the machines there is more.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from statistics import median

from tests import temporary
from tests.e2e import sharing
from tests.e2e.rack import Rack
from tests.lab import Lab, LabError, Machine, large_model, way_out
from tests.lab.hub import Hub

# Times as long as one machine alone takes, and times the model, that so many may take.
TIME_TARGETS = {4: 1.6, 8: 2.0}
SENT_TARGET = 1.1


def main() -> int:
    arguments = _arguments()
    runs: dict[int, list[tuple[float, float]]] = {count: [] for count in arguments.machines}
    try:
        with temporary.folder("modelrack-peers-") as work, Lab(["seed"], say=_say) as lab:
            large_model.publish(work / "hub", arguments.mib << 20)
            with Hub(work / "hub") as hub:
                url = hub.listen(lab.host)
                data = sharing.group_data(sharing.network_of(lab))
                rack = Rack(lab, url, url, work, data)
                machines = _machines(lab, rack, max(runs))
                way_out.narrow(lab, arguments.way_out)
                for machine in machines if arguments.link else ():
                    machine.slow_link(arguments.link)
                for _ in range(arguments.repetitions):
                    for count in runs:
                        rack.point_to(machines[:count], url, url)
                        runs[count].append(_measure(rack, hub))
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return _report(runs, arguments)


def _machines(lab: Lab, rack: Rack, count: int) -> list[Machine]:
    """All that are needed, each with everything but the weights."""
    _say("preparing a machine without weights")
    _deploy(rack, "tests/e2e/deploys/peers.py")
    seed = lab.machine("seed")
    seed.stop()
    layer = lab.snapshot(seed)
    return lab.add(*(f"machine{number}" for number in range(1, count + 1)), layer=layer)


def _measure(rack: Rack, hub: Hub) -> tuple[float, float]:
    """Seconds until all have the model, and how many times the hub has sent it."""
    for machine in rack.machines:
        machine.ssh(f"rm -rf {sharing.LEFT_BEHIND}; sync")
    hub.requests.clear()
    _deploy(rack, sharing.DEPLOY)
    share = sharing.sent(hub).share
    parts = [sharing.fetched(machine) for machine in rack.machines]
    if len({part.files for part in parts}) != 1:
        raise LabError("the machines have different content")
    seconds = sharing.seconds(parts)
    _say(f"{len(parts)}: {seconds:.1f} s, sent {share:.2f} times, load {os.getloadavg()[0]:.1f}")
    return seconds, share


def _deploy(rack: Rack, deploy: str) -> None:
    run = rack.deploy(deploy=deploy)
    if run.code:
        raise LabError(run.output)


def _report(runs: dict[int, Sequence[tuple[float, float]]], arguments: argparse.Namespace) -> int:
    times = {count: median(seconds for seconds, _ in found) for count, found in runs.items()}
    shares = {count: max(share for _, share in found) for count, found in runs.items()}
    print(f"\n{arguments.mib} MiB, way out {arguments.way_out}")
    print("machines   seconds: median      min      max   times one   hub sent, times the model")
    for count, found in _rows(runs):
        print(
            f"{count:>8}{times[count]:>18.1f}{min(found):>9.1f}{max(found):>9.1f}"
            f"{times[count] / times[min(times)]:>12.2f}{shares[count]:>12.2f}"
        )
    ratios = {str(count): round(times[count] / times[min(times)], 2) for count in times}
    sent = {str(count): round(share, 3) for count, share in shares.items()}
    targets = {"time": TIME_TARGETS, "sent": SENT_TARGET}
    print(json.dumps({"bench": "peers", "targets": targets, "time": ratios, "sent": sent}))
    return 0


def _rows(runs: dict[int, Sequence[tuple[float, float]]]) -> Iterator[tuple[int, list[float]]]:
    for count, found in runs.items():
        yield count, [seconds for seconds, _ in found]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sharing", description=__doc__)
    parser.add_argument("--machines", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--mib", type=int, default=384, help="size of the model")
    parser.add_argument("--way-out", default="160mbit", help="what they share, as tc has it")
    parser.add_argument("--link", help="what each of them has; otherwise as fast as it goes")
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
