"""What each machine would become, one page a machine; changes nothing.

pyinfra inventories/h800.py deploys/plan.py -y
pyinfra inventories/h800.py deploys/plan.py -y --data format=json
pyinfra inventories/h800.py deploys/plan.py -y --data model=modelscope:OWNER/NAME

The last says whether another model fits these machines: one of the catalogue, by its key, or any of
a hub, of which nothing is pinned. It is planned for alone, on an engine of the class if one reads
it.

A machine whose plan has refusals counts as failed, so the exit code says whether all can be had. Of
one without python3, which the plan is made with, only what deploys/full.py would install first is
said; that is no refusal.
"""

import json

import click
from pyinfra import host, state

from deploys.connection import transport
from deploys.control.current_plan import planned, without_python
from deploys.rendering import page

as_json = host.data.get("format") == "json"
first = without_python(to_change=False)
if first:
    if as_json:
        click.echo(json.dumps({"host": host.name, "first": first.command}))
    else:
        click.echo(page.of_bare(host.name, first))
    transport.leave()

# Of the command line alone: a file of group data may well call something by that name.
machine, plan = planned(model=state.inventory.get_override_data().get("model"))

if as_json:
    found = {"host": host.name, "machine": machine.to_json(), **plan.to_json()}
    click.echo(json.dumps(found))
else:
    click.echo(page.of(host.name, machine, plan))

if plan.refusals:
    transport.stop(state.inventory.get_host(host.name))
