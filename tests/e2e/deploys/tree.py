"""Fetches what a service needs that nothing can serve yet on a machine of the lab."""

from deploys.control.current_plan import planned
from deploys.operations import host_lock, weights
from deploys.stages import base

_, plan = planned()
host_lock.acquire(name="Keep other runs away")
base.install()
weights.present(name="Fetch the tree and check it", models=plan.weights)
