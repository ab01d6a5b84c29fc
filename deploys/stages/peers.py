"""Share weights with the other machines of the site, or stop sharing them."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import distribution_service, files
from deploys.operations.files import Directory, File
from deploys.operations.services import service
from deploys.operations.services.unit import Unit
from deploys.planning import unit_names
from deploys.planning.weights import peers
from deploys.rendering import render


@deploy("Peers")
def share() -> None:
    """Start or remove the weights server, before any fetch: files are shared as they arrive."""
    plan = current_plan()

    if plan.peer:
        distribution_service.installed(
            name="Install nginx for weight sharing",
            package="nginx",
            manager=plan.package_manager,
            systemd=plan.systemd,
        )
        files.put(name="Create the shared directory", entries=[Directory(path=plan.peer.folder)])
        service.running(
            name="Start weight sharing",
            units=[
                Unit(
                    name=unit_names.PEER,
                    files=tuple(map(File.of, render.peer(plan, plan.peer))),
                    digest=None,
                    url=plan.peer.url,
                    model=None,
                    stable=1.0,
                    patience=30.0,
                )
            ],
            systemd=plan.systemd,
        )
    else:
        service.absent(
            name="Disable weight sharing",
            unit=unit_names.PEER,
            paths=(*render.PEER_FILES, peers.folder_of(plan.site)),
            systemd=plan.systemd,
        )
