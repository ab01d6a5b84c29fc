"""Accept each machine: is it what was planned, whole, and as fast; a report says so.

pyinfra inventories/h800.py deploys/accept.py                      all of it, half an hour of load
pyinfra inventories/h800.py deploys/accept.py --data quick=true    little of each, in two minutes
pyinfra inventories/h800.py deploys/accept.py --data reboot=true   and it is rebooted in between

Writes reports/HOST.json and reports/HOST.html on this computer; --data output=FOLDER names another
folder, --data phases=host,cards tests these alone. A machine that is not accepted counts as failed,
so the exit code says whether all are. Its services are asked much, and restarted once.
"""

from pyinfra import config

from deploys.control.acceptance import session
from deploys.operations import host_lock
from deploys.operations.acceptance import phases

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

asked = session.begin()

host_lock.acquire(name="Lock this machine")

phases.tested(
    name="Look at the host and its disk",
    phase="host",
    wanted="host" in asked.phases,
)
phases.tested(
    name="Look at the cards",
    phase="cards",
    wanted="cards" in asked.phases,
)
phases.tested(
    name="Measure the ways between cards",
    phase="fabric",
    wanted="fabric" in asked.phases,
)
phases.tested(
    name="Look at the engines, and ask them",
    phase="engine",
    wanted="engine" in asked.phases,
)
phases.tested(
    name="Look at who gets in",
    phase="api",
    wanted="api" in asked.phases,
)
phases.tested(
    name="Measure answers to many at once",
    phase="performance",
    wanted="performance" in asked.phases,
)
phases.tested(
    name="Keep it busy, then restart its services",
    phase="soak",
    wanted="soak" in asked.phases,
)
phases.survives_reboot(name="Reboot it, and wait for its services", wanted=asked.reboot)
phases.reported(name="Write the report")
