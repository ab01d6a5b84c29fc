"""Pin what the machines of an inventory need, and see whether what is pinned still holds.

pyinfra inventories/h800.py deploys/lock.py -y

Changes no machine. A model that no lock names yet is listed by the hubs of the site, with size and
sha256 of every file at a fixed revision, and written into weights.yaml in the locks folder of the
site: keep it in git. A model that is pinned is listed again and compared. The exit code says
whether all could be pinned or still is what was pinned.
"""

import click
from pyinfra import host

from deploys.control.current_plan import locked

for line in locked():
    click.echo(f"{host.name}: {line}")
