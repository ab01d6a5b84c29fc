"""Put back what cannot be made again, where the site names a backup of this machine."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.control.lifecycle import backups
from deploys.operations.lifecycle import kept
from deploys.planning.lifecycle.kept import used


@deploy("Backup")
def restore() -> None:
    """Put back what the machine lacks; runs before what would make it anew, and after its users."""
    plan = current_plan()

    kept.restored(
        name="Put back keys, certificates and data",
        paths=used(plan),
        backup=backups.of(plan.site, host.name),
    )
