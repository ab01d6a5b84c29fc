"""Write what a finished unit of a series has, for the trees that its images are made of.

pyinfra inventories/h800.py deploys/golden.py --limit unit-01 -y --data output=unit.json

Changes no machine. The file holds processor, memory, cards and their links, and nothing that is of
this one unit alone. The group data of a tree name it: golden_unit = Path("units/h800.json").
"""

from pathlib import Path

import click
from pyinfra import host, state

from deploys.control import golden_unit
from deploys.control.current_plan import planned, stop
from deploys.planning.inputs.refusal import Refusal

machine, _ = planned()

output = host.data.get("output")
if not isinstance(output, str):
    stop(
        state.inventory.get_host(host.name),
        [
            Refusal(
                "It is not said where the unit's hardware is written to",
                "Add --data output=inventories/units/h800.json",
            )
        ],
    )

golden_unit.write(Path(output), machine)
click.echo(f"{host.name}: written to {output}, {len(machine.gpus)} accelerators")
