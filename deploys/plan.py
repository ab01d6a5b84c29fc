"""What each machine would become, one page a machine; changes nothing.

pyinfra inventories/h800.py deploys/plan.py -y
pyinfra inventories/h800.py deploys/plan.py -y --data format=json

A machine whose plan has refusals counts as failed, so the exit code says whether all can be had.
"""

import json

import click
from pyinfra import host, state

from deploys.facts.plan import planned
from deploys.operations import transport
from deploys.planning import page

machine, plan = planned()

if host.data.get("format") == "json":
    found = {"host": host.name, "machine": machine.to_json(), **plan.to_json()}
    click.echo(json.dumps(found))
else:
    click.echo(page.of(host.name, machine, plan))

if plan.refusals:
    transport.stop(state.inventory.get_host(host.name))
