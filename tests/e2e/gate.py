"""What the health gate says of a service, if the plan had told it to draw answers like this."""

from __future__ import annotations

import json

from deploys.connection import programs
from tests.lab import Machine


def says(machine: Machine, unit: str, port: int, model: str, sampling: dict[str, float]) -> str:
    """Return the gate's verdict on a running service of 512 tokens: "ok", or what is wrong."""
    asked = {"unit": unit, "url": f"http://127.0.0.1:{port}", "model": model, "sampling": sampling}
    asked |= {"context": 512, "files": [], "measured": None, "ask": None, "vector": None}
    gate = programs.inline("services.units").get_raw_value()
    (state,) = json.loads(machine.ssh(gate, stdin=json.dumps([asked])).stdout).values()
    answer: str = state["answer"]
    return answer
