"""What each machine would become, one page a machine; changes nothing.

pyinfra inventories/h800.py deploys/plan.py -y
pyinfra inventories/h800.py deploys/plan.py -y --data format=json
"""

import json

import click
from pyinfra import host

from deploys.facts.plan import current_plan
from deploys.planning import render

plan = current_plan(pin=False)

if host.data.get("format") == "json":
    click.echo(json.dumps({"host": host.name, **plan.to_json()}))
else:
    click.echo(render.page(host.name, plan))
