"""Rules of the test's own: --data opened=22 for what they let in, killed=true to die on trial."""

import os
import signal

from pyinfra import host

from deploys.connection import transport
from deploys.operations import firewall, host_lock
from deploys.operations.files import File
from deploys.planning.gateway.firewall import FirewallPlan, Opening
from deploys.rendering import firewall as rendering


def _die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if host.data.get("killed"):
    transport.connects_anew = _die

rules, *units = map(
    File.of,
    rendering.files(
        FirewallPlan(openings=(Opening(name="the test's", ports=(int(host.data.opened),)),))
    ),
)
host_lock.acquire(name="Keep other runs away")
firewall.loaded(
    name="Load rules of the test's own",
    rules=rules,
    units=units,
    patience=int(host.data.patience),
)
