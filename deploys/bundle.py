"""Put what a host class needs of elsewhere into one folder, for machines without a way out.

pyinfra inventories/h800.py deploys/bundle.py --limit gpu-01 -y --data output=/srv/bundle

Asks one machine of the class, or a tree with its golden unit, what it is, and changes neither. Run
it for further classes and systems with the same folder; what is there is not fetched again. Then
sign it with deploys/seal.py, and have any web server serve it:
Site(mirrors=BUNDLE("http://10.0.0.5"), bundle=Path("/srv/bundle")). Or mount its disk on the
machines: Site(mirrors=BUNDLE("/mnt/bundle")).

With --data image=yes images can be made of it (docs/factory.md), and with --data appliance=NAME
machines can update themselves from it (docs/offline.md).
"""

from pyinfra import host

from deploys.control.bundle.make import make

make(host.data.get("output"), host.data.get("appliance"), host.data.get("image"))
