"""What the machines of a lab send to anywhere else, counted here, where none can hide it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.process import run


@contextmanager
def counted(lab: Lab) -> Iterator[Callable[[Machine], int]]:
    """Count from now on, for the machines that the lab has: the packets of a machine since then."""
    table = lab.machines[0].network.table
    lines = [f"add chain bridge {table} leaving {{ type filter hook prerouting priority -299; }}"]
    for machine in lab.machines:
        rule = f"add rule bridge {table} leaving iifname {machine.network.link(machine.index)}"
        inside, counter = f"{{ {machine.network.subnet}, 224.0.0.0/4 }}", _counter(machine)
        lines += [
            f"add counter bridge {table} {counter}",
            # What it says to its neighbours about itself stays in the lab.
            f"{rule} ip6 daddr {{ fe80::/10, ff00::/8 }} accept",
            f"{rule} meta protocol ip6 counter name {counter}",
            f"{rule} ip daddr != {inside} counter name {counter}",
        ]
    run(["nft", "-f", "-"], stdin="\n".join(lines))

    def packets(machine: Machine) -> int:
        shown = run(["nft", "-j", "list", "counter", "bridge", table, _counter(machine)])
        found = [each["counter"] for each in json.loads(shown)["nftables"] if "counter" in each]
        return int(found[0]["packets"])

    try:
        yield packets
    finally:
        run(["nft", "delete", "chain", "bridge", table, "leaving"], check=False)
        for machine in lab.machines:
            run(["nft", "delete", "counter", "bridge", table, _counter(machine)], check=False)


def _counter(machine: Machine) -> str:
    return f"leaving_{machine.index}"
