"""A gateway without an engine: what answers behind it is the test's."""

from deploys.control.current_plan import current_plan
from deploys.operations import host_lock
from deploys.stages import base, gateway

current_plan()
host_lock.acquire(name="Keep other runs away")
base.install()
gateway.install()
gateway.start()
