"""Holds the lock until a test has made a file: `GOES_ON` of tests/e2e/stub.py."""

from deploys.control.current_plan import current_plan
from deploys.operations import host_lock, job
from deploys.stages import base

plan = current_plan()
host_lock.acquire(name="Lock this machine")
base.install()
job.run(
    name="Take a while",
    job="slow-1",
    argv=["sh", "-c", "until [ -e /run/goes-on ]; do sleep 0.1; done"],
)
