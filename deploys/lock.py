"""Pin what the machines of an inventory need and no lock names yet; changes no machine.

pyinfra inventories/h800.py deploys/lock.py -y

Models are listed by the first hub of the site that has them, with size and sha256 of every file,
and written into weights.yaml in the locks folder of the site: keep it in git.
"""

import click
from pyinfra import host

from deploys.facts.plan import pinned

for weights in pinned().weights:
    click.echo(f"{host.name}: {weights.model} is pinned, {len(weights.files)} files")
