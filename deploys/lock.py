"""Pin the models that an inventory needs, and check that existing pins still hold.

pyinfra inventories/h800.py deploys/lock.py -y

Changes no machine. A model without a lock entry is looked up on the hubs of the site, and the size
and sha256 of every file at a fixed revision are written to weights.yaml in the locks directory of
the site: keep it in git. A model that is already pinned is looked up again and compared. The exit
code is 0 only if every model could be pinned or still matches its pin.

Of a model that a service names by a hub, what its documents say is pinned, too, in models/ beside
that file; and printed is what was understood of them, and what they do not say.
"""

import click
from pyinfra import host

from deploys.control.current_plan import locked

for line in locked():
    click.echo(f"{host.name}: {line}")
