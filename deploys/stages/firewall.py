"""Close every port that is not for other machines, or open them again."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.control.current_plan import current_plan
from deploys.operations import firewall, packages
from deploys.operations.files import Directory, File
from deploys.operations.services import service
from deploys.planning import unit_names
from deploys.rendering import firewall as rendering


@deploy("Firewall")
def apply() -> None:
    """Load the rules of a machine with a gateway, or take them away; the tables of others stay."""
    plan = current_plan()

    if plan.firewall:
        packages.installed(
            name="Install nftables", packages=("nftables",), manager=plan.package_manager
        )
        rules, *units = map(File.of, rendering.files(plan.firewall))
        firewall.loaded(
            name="Load the firewall's rules, and prove that SSH comes through",
            rules=rules,
            units=[Directory(path=rendering.DROP_IN_FOLDER), *units],
            systemd=plan.systemd,
        )
    else:
        service.absent(
            name="Remove the firewall",
            unit=unit_names.FIREWALL,
            paths=(*rendering.FILES, firewall.TRIAL),
            systemd=plan.systemd,
        )
