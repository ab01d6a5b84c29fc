"""The firewall's rules as nft reads them, and what loads them."""

from __future__ import annotations

from deploys.planning import unit_names
from deploys.planning.gateway.firewall import FirewallPlan
from deploys.rendering.templates import Rendered, file

RULES = "/etc/modelrack/firewall.nft"
_UNIT = unit_names.file(unit_names.FIREWALL)
DROP_IN_FOLDER = unit_names.file("nftables.service.d")
_DROP_IN = f"{DROP_IN_FOLDER}/modelrack.conf"
FILES = (RULES, _UNIT, _DROP_IN)


def files(plan: FirewallPlan) -> tuple[Rendered, ...]:
    """Return the rules, the unit, and what has Debian's own unit respect them."""
    return (
        file("firewall/firewall.nft", RULES, firewall=plan),
        file(f"firewall/{unit_names.FIREWALL}", _UNIT, rules=RULES),
        file("firewall/nftables.service.conf", _DROP_IN, rules=RULES),
    )
