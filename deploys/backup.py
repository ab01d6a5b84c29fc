"""Fetch what cannot be made again from each machine, into one file a machine.

pyinfra inventories/h800.py deploys/backup.py -y --data output=backups

Keys, certificates, and what people keep on the chat page, which goes on meanwhile. The files have
private keys in them and mode 0600. With restore of the site, deploys/full.py puts back what a
machine lacks of it.
"""

from pathlib import Path

from pyinfra import config, host, state

from deploys.control.current_plan import planned, stop
from deploys.control.lifecycle import backups
from deploys.operations import host_lock
from deploys.operations.lifecycle import kept
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.lifecycle.kept import KEPT, STATE

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

# Only for the connection and its rights.
planned(to_change=True)

output = host.data.get("output")
if not isinstance(output, str):
    stop(
        state.inventory.get_host(host.name),
        [
            Refusal(
                "It is not said where the backups are to be", "Add --data output=backups, a folder"
            )
        ],
    )

host_lock.acquire(name="Lock this machine")

kept.fetched(
    name="Fetch what cannot be made again",
    paths=(*KEPT, STATE),
    file=backups.file_of(Path(output), host.name),
)
