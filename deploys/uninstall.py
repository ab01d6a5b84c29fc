"""Take modelrack off each machine, which is then what it was before the first deploy.

pyinfra inventories/h800.py deploys/uninstall.py
pyinfra inventories/h800.py deploys/uninstall.py --data weights=true    the models, too
pyinfra inventories/h800.py deploys/uninstall.py --data driver=true     the GPU driver, too
pyinfra inventories/h800.py deploys/uninstall.py --data chat=true       people's chats, too

What was there before stays or is put back, and so do packages that others need; what stays is
named.
"""

from pyinfra import config, host

from deploys.control.current_plan import planned
from deploys.operations import host_lock
from deploys.operations.lifecycle import uninstall

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

# Only for the connection, its rights, and where weights lie.
_, plan = planned(to_change=True)

host_lock.acquire(name="Lock this machine")

uninstall.everything(
    name="Take modelrack off this machine",
    data_root=plan.site.data_root,
    weights=host.data.get("weights") is True,
    driver=host.data.get("driver") is True,
    chat=host.data.get("chat") is True,
)
