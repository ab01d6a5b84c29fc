"""Fetches the models and starts nothing."""

from deploys.operations import host_lock
from deploys.stages import base, weights

host_lock.acquire(name="Keep other runs away")
base.install()
weights.fetch()
