"""What the record of an image must not tell."""

from __future__ import annotations

from typing import Any


def without_addresses(plan: dict[str, Any]) -> dict[str, Any]:
    """Return a record without what an image must not tell: where it was built, and from what."""
    plan = {**plan, "site": {"data_root": plan["site"]["data_root"]}}
    for part in ("hostname", "package_manager", "peer", "firewall"):
        del plan[part]
    for weights in (*plan["weights"], *(each["weights"] for each in plan["services"])):
        del weights["server"]
        for source in weights["sources"]:
            del source["endpoint"]
    return plan
