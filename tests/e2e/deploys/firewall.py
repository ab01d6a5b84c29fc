"""The firewall of a machine whose gateway is there already, as far as it concerns a firewall."""

from deploys.operations import host_lock
from deploys.stages import base, firewall

host_lock.acquire(name="Keep other runs away")
base.install()
firewall.apply()
