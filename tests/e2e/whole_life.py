"""Audits and the last day of a machine of a lab, whatever it serves."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.digest import difference, whole
from tests.e2e.rack import Rack, Run

AUDIT, UNINSTALL = "deploys/audit.py", "deploys/uninstall.py"


def differences(audit: Run) -> list[str]:
    """What an audit names; it has failed if there is anything."""
    said: dict[str, Any] = json.loads(audit.stdout.splitlines()[0])
    assert audit.code == (0 if said["as_planned"] else 1), audit.output
    assert said["as_planned"] == (not said["differences"])
    return [each["what"] for each in said["differences"]]


def audit(rack: Rack, *options: str) -> list[str]:
    """What differs on the one machine of a rack."""
    return differences(rack.deploy("--data", "format=json", *options, deploy=AUDIT))


def ends_as_it_began(rack: Rack, before: dict[str, object]) -> None:
    """No trace is left of what was deployed, and a second run finds none."""
    weights = ("--json", "--data", "weights=true")
    done = rack.deploy(*weights, deploy=UNINSTALL)
    assert done.code == 0, done.output
    assert difference(before, whole(rack.machines[0])) == {}
    assert rack.deploy(*weights, deploy=UNINSTALL).changed == []
