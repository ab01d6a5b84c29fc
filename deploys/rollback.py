"""Roll an engine back to its previous version, with the settings it had then.

pyinfra inventories/h800.py deploys/rollback.py
pyinfra inventories/h800.py deploys/rollback.py --data engine=vllm     where several engines serve

For a new version that answers but misbehaves; one that does not answer is rolled back
automatically. The next deploys/full.py follows the inventory and the locks again, so revert those,
too.
"""

from pyinfra import config, host

from deploys.control.current_plan import planned
from deploys.operations import host_lock
from deploys.operations.services import rollback

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

# Only for the connection and its rights: going back depends on what the machine has, not on what it
# should have.
planned(to_change=True)

host_lock.acquire(name="Lock this machine")

rollback.to_previous(name="Roll back to the previous version", engine=host.data.get("engine"))
