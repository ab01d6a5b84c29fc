"""The file that describes a golden unit: written from one machine, read for a tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploys.control import replaced
from deploys.planning.inputs.golden_unit import hardware_of
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal


def read(path: object) -> dict[str, Any]:
    """Return the hardware that a tree's host data names; raise Refusal without a readable file.

    + path: what the host data say as golden_unit; None where they do not
    """
    if not isinstance(path, str | Path):
        raise Refusal(
            "This is the tree of an image, and the hardware that is seen from it is the builder's",
            "Write what a finished unit has with deploys/golden.py on one, and name that file in"
            ' the group data: golden_unit = Path("inventories/units/h800.json")',
        )
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise Refusal(
            f"The golden unit's hardware cannot be read from {path}: {error}",
            "Write it anew with deploys/golden.py on that unit",
        ) from error
    if not isinstance(found, dict):
        raise Refusal(
            f"{path} does not hold the hardware of a golden unit",
            "Write it anew with deploys/golden.py on that unit",
        )
    return found


def write(path: Path, machine: Machine) -> None:
    """Write the hardware of a machine, replacing the file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replaced.replace(path, json.dumps(hardware_of(machine), indent=2) + "\n")
