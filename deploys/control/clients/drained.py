"""Which machines a run takes out of the gateways, and which it puts back."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra import host, state

from deploys.control import current_plan
from deploys.planning.inputs.refusal import Refusal

# Seconds within which an answer has usually ended.
PATIENCE = 600


@dataclass(frozen=True, kw_only=True)
class DrainRequest:
    """Names of machines, and the seconds that these may take."""

    away: tuple[str, ...]
    back: tuple[str, ...]
    patience: int


def asked() -> DrainRequest:
    """Return what --data says; a host whose run says nothing that can be done is stopped."""
    this = state.inventory.get_host(host.name)
    away, back = _names("away"), _names("back")
    patience = str(host.data.get("patience") or PATIENCE)
    known = {*state.inventory.hosts}
    against = []
    if not away and not back:
        against.append(
            Refusal("No machine is named", "Name some: --data away=gpu-02, or --data back=gpu-02")
        )
    if unknown := [name for name in (*away, *back) if name not in known]:
        against.append(
            Refusal(
                f"The inventory has no {', '.join(unknown)}",
                f"Name some of its hosts: {', '.join(sorted(known)[:10])}",
            )
        )
    if both := sorted({*away} & {*back}):
        against.append(
            Refusal(f"{', '.join(both)} cannot be both away and back", "Name each of them once")
        )
    if not patience.isdecimal():
        against.append(
            Refusal(f"patience={patience} is no number of seconds", "Write --data patience=600")
        )
    if against:
        current_plan.stop(this, against)
    return DrainRequest(away=away, back=back, patience=int(patience))


def _names(key: str) -> tuple[str, ...]:
    words = str(host.data.get(key) or "").split(",")
    return tuple(word.strip() for word in words if word.strip())
