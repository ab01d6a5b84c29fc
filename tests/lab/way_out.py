"""The way out of a lab, made as narrow as that of a real one: what the hub sends passes it."""

from __future__ import annotations

from tests.lab.lab import Lab
from tests.lab.process import run


def narrow(lab: Lab, rate: str) -> None:
    """All that this side sends to the machines shares `rate` (as tc writes it, `100mbit`).

    What machines send each other goes from port to port of the bridge and is not held up.
    """
    shape = ["root", "tbf", "rate", rate, "burst", "256kb", "latency", "200ms"]
    run(["tc", "qdisc", "replace", "dev", lab.id, *shape])


def widen(lab: Lab) -> None:
    """Nothing is held up any more."""
    run(["tc", "qdisc", "del", "dev", lab.id, "root"], check=False)
